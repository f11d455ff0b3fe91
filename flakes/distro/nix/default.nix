# The package set, for `import nixpkgs { inherit system; }` too.
#
# `revisions` maps a package's name to any text: a changed text gives that package, and
# all that refer to it, new store paths, as a new release would.
{ revisions ? { }, ... }@arguments:
let
  facts = builtins.fromJSON (builtins.readFile ./packages.json);
  system = arguments.system or facts.system;

  makeMeta = import ./meta.nix;
  debian = import ./debian.nix {
    inherit facts makeMeta revisions;
    fixups = import ./fixups.nix { inherit facts; packages = debian; };
  };
  aliases = builtins.mapAttrs
    (alias: name: packages.${name} // { meta = makeMeta alias facts.packages.${name}; })
    facts.aliases;

  lib = import ./lib.nix;
  stdenv = import ./stdenv.nix { inherit facts lib; pkgs = debian; };
  tools = import ./trivial.nix { inherit lib; pkgs = debian // { inherit stdenv; runtimeShell = stdenv.shell; }; };
  python = import ./python.nix { inherit debian facts lib pkgs stdenv; inherit (tools) runCommand; };

  packages = debian // lib.optionalAttrs (debian ? python3) { inherit (python) python3; };

  # What `packages.<system>` of the flake may have: derivations only.
  derivations = aliases // packages // { inherit (tools) makeWrapper; };

  callPackage = lib.callPackageWith pkgs;

  # What is only named here, so that a flake that names it can be evaluated.
  named = lib.genAttrs [ "mypy" "nixfmt-tree" "ruff" "shellcheck" ] (name: debian.${name} or
    (tools.runCommand name { } "echo '${name}' is not in this stand-in for nixpkgs >&2; exit 1"));

  pkgs = named // derivations // tools // {
    inherit callPackage derivations lib pkgs stdenv system;
    inherit (stdenv) mkDerivation;
    runtimeShell = stdenv.shell;
    stdenvNoCC = stdenv;
    bashInteractive = packages.bash;
    bashNonInteractive = packages.bash;
  } // lib.optionalAttrs (debian ? python3) { inherit (python) fetchPypi python3Packages; };
in
if system != facts.system
then throw "this package set is of the machine that made it, ${facts.system}: it has nothing for ${system}"
else pkgs
