# The formula of torso for Homebrew. docs/packaging/formula.sh writes address and checksum of a release into it.
class Torso < Formula
  desc "SQLite databases by name, with replicas, a shell and a server"
  homepage "https://github.com/your-organization/torso"
  url "https://github.com/your-organization/torso/releases/download/v0.1.0/torso-0.1.0.tar.gz"
  sha256 "0000000000000000000000000000000000000000000000000000000000000000"
  license any_of: ["MIT", "Apache-2.0"]

  depends_on "rust" => :build

  def install
    system "cargo", "install", *std_cargo_args
    man1.install Dir["docs/man/*.1"]
    bash_completion.install "completions/torso.bash" => "torso"
    fish_completion.install "completions/torso.fish"
    zsh_completion.install "completions/_torso"
  end

  test do
    ENV["TORSO_DATA_DIR"] = (testpath/"data").to_s
    system bin/"torso", "db", "create", "app", "--location", "ams"
    assert_equal "2", shell_output("#{bin}/torso db shell app 'select 1 + 1'").strip
  end
end
