# Runs a Homebrew formula without Homebrew, as far as that goes:
#
#     ruby packaging/formula_trial.rb FORMULA ARCHIVES TARGET PREFIX
#
# The formula's class body is evaluated as on TARGET, the archive that it names is taken from the
# folder ARCHIVES and its SHA-256 compared; then `install` and `test` run with the few of Homebrew's
# methods that the formula uses.
require "digest"
require "fileutils"
require "pathname"
require "tmpdir"

FORMULA, ARCHIVES, TARGET, PREFIX = ARGV

# A folder of the prefix.
class Pathname
  def install(*sources)
    mkpath
    sources.flatten.each do |source|
      pairs = source.is_a?(Hash) ? source : { source => File.basename(source) }
      pairs.each { |from, name| FileUtils.cp(from, self/name) }
    end
  end

  def install_symlink(links)
    mkpath
    links.each { |target, name| FileUtils.ln_s(target, self/name) }
  end
end

class Formula
  def self.on(wanted) = TARGET.match?(wanted) && yield
  def self.on_macos(&block) = on(/apple/, &block)
  def self.on_linux(&block) = on(/linux/, &block)
  def self.on_arm(&block) = on(/aarch64/, &block)
  def self.on_intel(&block) = on(/x86_64/, &block)

  def self.fields = @fields ||= {}
  %i[desc homepage version license url sha256].each do |field|
    define_singleton_method(field) do |value|
      raise "#{field} is given twice" if fields.key?(field)
      fields[field] = value
    end
  end
  def self.test(&block) = define_method(:run_test, &block)
  def self.inherited(formula) = (super; @formula = formula)
  def self.formula = @formula

  { bin: "bin", man1: "share/man/man1", pkgshare: "share/llmzip", doc: "share/doc/llmzip",
    bash_completion: "etc/bash_completion.d", zsh_completion: "share/zsh/site-functions",
    fish_completion: "share/fish/vendor_completions.d" }.each do |name, place|
    define_method(name) { Pathname(PREFIX)/place }
  end
  def testpath = Pathname.pwd
  def system(*command) = Kernel.system(*command.map(&:to_s), exception: true)

  def shell_output(command)
    output = `#{command}`
    raise "#{command} failed" unless $?.success?
    output
  end

  def assert_equal(wanted, found) = assert_operator(wanted, :==, found)

  def assert_operator(left, operator, right)
    left.send(operator, right) || raise("not: #{left.inspect} #{operator} #{right.inspect}")
  end
end

load FORMULA
fields = Formula.formula.fields
missing = %i[desc homepage version license url sha256] - fields.keys
raise "the formula lacks #{missing.join(", ")}" unless missing.empty?
raise "what stands between @ signs was not filled in" if File.read(FORMULA).match?(/@[A-Z]/)

archive = File.join(ARCHIVES, File.basename(fields[:url]))
sha256 = Digest::SHA256.file(archive).hexdigest
raise "#{archive} has another SHA-256" unless sha256 == fields[:sha256]
formula = Formula.formula.new
Dir.mktmpdir do |folder|
  # Homebrew enters the only folder of an archive.
  Kernel.system("tar", "xzf", archive, "-C", folder, "--strip-components=1", exception: true)
  Dir.chdir(folder) { formula.install }
end
Dir.mktmpdir { |folder| Dir.chdir(folder) { formula.run_test } }
