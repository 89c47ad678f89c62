complete --keep-order --exclusive --command torso --arguments "(TORSO_COMPLETE=fish torso -- (commandline --current-process --tokenize --cut-at-cursor) (commandline --current-token))"
