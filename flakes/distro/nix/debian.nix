# Debian packages as derivations: from an entry of packages.json to a store path
# that refers to the store paths of the packages it uses.
{ facts, fixups, makeMeta, revisions }:
let
  inherit (builtins) elem genericClosure mapAttrs;
  inherit (facts) packages;

  deb = { name, sha256 }: derivation {
    inherit name;
    inherit (facts) system;
    builder = "/bin/sh";
    args = [ "-c" "echo \"$name is not in the Nix store: run flakes/distro/make again\" >&2; exit 1" ];
    outputHashMode = "flat";
    outputHashAlgo = "sha256";
    outputHash = sha256;
  };

  # All that a package may refer to: what it needs, what that needs, and so on.
  reach = name: map (e: e.key) (genericClosure {
    startSet = map (key: { inherit key; }) packages.${name}.needs;
    operator = e: map (key: { inherit key; }) packages.${e.key}.needs;
  });

  package = name:
    let
      entry = packages.${name};
      needs = reach name;
      fixup = fixups.${name} or (fixups.default name);
      drv = derivation {
        name = "${name}-${entry.version}";
        inherit (facts) system multiarch;
        builder = "/usr/bin/python3";
        args = [ "-sEB" "${./builders}/unpack.py" ];
        PATH = "/usr/bin:/bin";
        LC_ALL = "C";
        debs = map deb entry.debs;
        inputs = map (n: all.${n}) needs;
        loader = if elem "glibc" needs then "${all.glibc}/lib/${facts.multiarch}/${facts.loader}" else "";
        pythonVersion = fixups.pythonVersion;
        inherit fixup;
        revision = revisions.${name} or "";
      };
    in
    drv // {
      pname = name;
      inherit (entry) version;
      outputs = [ "out" ];
      meta = makeMeta name entry;
      inherit needs;
    };

  all = mapAttrs (name: _: package name) packages;
in
all
