
set edit:completion:arg-completer[torso] = { |@words|
    var index = (count $words)
    set index = (- $index 1)

    put (env _CLAP_IFS="\n" _CLAP_COMPLETE_INDEX=(to-string $index) TORSO_COMPLETE="elvish" torso -- $@words) | to-lines
}

