# Runs a formula as Homebrew does, without Homebrew: ruby formula.rb FORMULA SOURCE PREFIX PROGRAM
#
# `install` puts files of the source below the prefix; `cargo install` gives the program that is there. Then its `test` runs.
require "pathname"
require "fileutils"
require "shellwords"
require "tmpdir"

FORMULA, SOURCE, PREFIX, PROGRAM = ARGV.map { |path| Pathname.new(File.expand_path(path)) }

class Pathname
  # A file, a list of files, or a file and its new name.
  def install(what)
    mkpath
    if what.is_a?(Hash)
      what.each { |file, name| FileUtils.cp(file, self/name) }
    else
      raise "nothing to install into #{self}" if Array(what).empty?
      FileUtils.cp(Array(what), self)
    end
  end
end

class Formula
  class << self
    attr_reader :fields, :check

    def field(name, value)
      (@fields ||= {})[name] = value
    end

    %i[desc homepage url sha256 license depends_on].each do |name|
      define_method(name) { |value| field(name, value) }
    end

    def test(&check)
      @check = check
    end
  end

  def bin = PREFIX/"bin"
  def man1 = PREFIX/"share/man/man1"
  def bash_completion = PREFIX/"etc/bash_completion.d"
  def fish_completion = PREFIX/"share/fish/vendor_completions.d"
  def zsh_completion = PREFIX/"share/zsh/site-functions"
  def std_cargo_args = ["--locked", "--root=#{PREFIX}", "--path=."]
  def testpath = @testpath ||= Pathname.new(Dir.mktmpdir)

  def system(*words)
    return Kernel.system(*words.map(&:to_s), exception: true) unless words.first == "cargo"

    raise "unexpected: #{words}" unless words == ["cargo", "install", *std_cargo_args]

    bin.install(PROGRAM)
  end

  def shell_output(command)
    output = `#{command}`
    raise "#{command} failed" unless $?.success?

    output
  end

  def assert_equal(wanted, got)
    raise "#{got.inspect} in the place of #{wanted.inspect}" unless wanted == got
  end
end

load FORMULA
Dir.chdir(SOURCE) { Torso.new.install }
formula = Torso.new
Dir.chdir(formula.testpath) { formula.instance_exec(&Torso.check) }
FileUtils.rm_rf(formula.testpath)
Torso.fields.each { |name, value| puts "#{name}=#{value}" }
