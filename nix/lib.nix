# Images as derivations. `pkgs` is of the machine that makes them; what is in them may be of
# another.
#
# An image is an order for `nix2oci build --closure`, which starts no Nix. A builder (buildImage)
# and a script on the host (streamImage) get the same one, hence the image is the same.
{
  pkgs,
  nix2oci ? pkgs.callPackage ./package.nix { },
}:
let
  inherit (pkgs) lib;
  inherit (pkgs.stdenv.hostPlatform) system;
  program = lib.getExe nix2oci;

  # What evaluation knows of a package or an app, by the question that the command asks.
  ask = import ../nix2oci/nix/evaluate.nix;

  # The outputs of a package that go into an image, by the rule of the command (package.py).
  outputsOf =
    package: known:
    let
      isOneOutput = known.outputSpecified || known.outputName != lib.head known.outputs;
      installed = lib.filter (name: lib.elem name known.outputs) known.outputsToInstall;
    in
    if isOneOutput then
      [ package ]
    else if installed != [ ] then
      map (name: package.${name}) installed
    else
      [ (package.out or package) ];

  # What it says of derivations and outputs, which are built when a builder starts.
  notFacts = [
    "drv"
    "isOCIImage"
    "kind"
    "name"
    "outputName"
    "outputSpecified"
    "outputs"
    "outputsToInstall"
    "shell"
  ];

  ofPackage =
    package:
    let
      known = ask package;
      said = builtins.parseDrvName known.name;
      or' = text: otherwise: if text == "" then otherwise else text;
    in
    {
      paths = map toString (outputsOf package known);
      facts = removeAttrs known notFacts // {
        # Of the machine that it runs on, where it is compiled on another.
        system = package.stdenv.hostPlatform.system or known.system;
        pname = or' known.pname said.name;
        version = or' known.version said.version;
      };
    };

  # Its root is the store path of the program, or what stands for one that is not known yet.
  ofApp =
    app:
    let
      known = ask app;
      root = lib.head (builtins.match "((${builtins.storeDir})?/[^/]+).*" known.program);
    in
    {
      paths = [ (builtins.appendContext root (builtins.getContext "${app.program}")) ];
      facts = {
        inherit (known) program;
        pname = baseNameOf known.program;
        version = "";
      };
    };

  # What can be put into an image: its store paths, of which the first stands for all, and facts.
  item =
    value:
    if lib.isDerivation value then
      ofPackage value
    else if value.type or null == "app" then
      ofApp value
    else if lib.isAttrs value && !value ? outPath then
      throw "nix2oci: cannot put a set into an image that is neither a package nor an app"
    else
      {
        paths = [ "${value}" ];
        facts = { };
      };

  # The file of --package: facts by store path.
  factsFile =
    main: contents: source:
    let
      entry = facts: each: {
        name = builtins.unsafeDiscardStringContext (lib.head each.paths);
        value = facts // {
          paths = map builtins.unsafeDiscardStringContext each.paths;
        };
      };
      added = each: entry { priority = each.facts.priority or null; } each;
    in
    pkgs.writeText "facts.json" (
      builtins.toJSON (
        lib.listToAttrs ([ (entry (main.facts // source) main) ] ++ map added contents)
      )
    );

  order =
    {
      package,
      contents ? [ ],
      settings ? { },
      fromImage ? null,
      flake ? { },
    }:
    let
      main = item package;
      added = map item contents;
      source = {
        revision = flake.rev or flake.dirtyRev or "";
        lastModified = if flake ? rev then flake.lastModified else 0;
      };
      # What values of settings refer to is in the closure, as it is in the context of this file.
      settingsFile =
        if lib.isAttrs settings then
          pkgs.writeText "nix2oci.yaml" (builtins.toJSON settings)
        else
          "${settings}";
    in
    {
      name = main.facts.pname or "image";
      settings = settingsFile;
      roots = lib.concatMap (each: each.paths) ([ main ] ++ added) ++ [ settingsFile ];
      words = closure: [
        program
        "build"
        (lib.head main.paths)
        "--closure=${closure}"
        "--package=${factsFile main added source}"
        "--config=${settingsFile}"
      ]
      ++ map (each: "--contents=${lib.head each.paths}") added
      ++ lib.optional (fromImage != null) "--base=${fromImage}";
    };

  # The words for a script. Its closure is not substituted: with hashes from elsewhere it would not
  # match a path that was built here to other bytes.
  onHost =
    image:
    let
      closure = pkgs.closureInfo { rootPaths = image.roots; };
    in
    image.words "${closure.overrideAttrs { allowSubstitutes = false; }}/registration";

  # The time of an image is that of its flake, not one that a shell or a builder has set.
  script =
    name: words:
    pkgs.writeShellScriptBin name ''
      unset SOURCE_DATE_EPOCH
      exec ${lib.escapeShellArgs words} "$@"
    '';

  buildImage =
    {
      archive ? false,
      ...
    }@arguments:
    let
      image = order (removeAttrs arguments [ "archive" ]);
      made = derivation {
        inherit system;
        name = "${image.name}.${if archive then "tar" else "oci"}";
        builder = program;
        # Nix writes it for this builder, so that it is about the store paths that are here.
        exportReferencesGraph.closure = image.roots;
        args = lib.tail (image.words ".attrs.json") ++ [
          "--quiet"
          "--no-cache"
          "--format=${if archive then "archive" else "oci"}"
          "--output=${placeholder "out"}"
        ];
        preferLocalBuild = true;
        # It names store paths and needs none: all that it has is in its layers.
        __structuredAttrs = true;
        unsafeDiscardReferences.out = true;
      };
    in
    lib.extendDerivation true {
      inherit (image) settings;
      isOCIImage = true;
      meta.description = "OCI image of ${image.name}";
      stream = script "${image.name}-image" (onHost image);
      push = script "push-${image.name}" [
        program
        "push"
        "${made}"
      ];
      load = script "load-${image.name}" (onHost image ++ [ "--load" ]);
    } made;

  streamImage =
    arguments:
    let
      image = order arguments;
    in
    script "${image.name}-image" (onHost image)
    // {
      inherit (image) settings;
    };

  pullImage =
    {
      reference,
      hash,
      platform ? null,
    }:
    let
      parts = builtins.match "([^@]*/)?([^/@:]+)(:[^/@]*)?@.*" reference;
    in
    derivation {
      inherit system;
      name =
        if parts == null then
          throw "pullImage: '${reference}' has no digest: REGISTRY/REPOSITORY@sha256:…"
        else
          "${lib.elemAt parts 1}.oci";
      builder = program;
      args = [
        "pull"
        reference
        "--quiet"
        "--no-cache"
        "--cert-dir=${pkgs.cacert}/etc/ssl/certs"
        "--output=${placeholder "out"}"
      ]
      ++ lib.optional (platform != null) "--platform=${platform}";
      outputHashMode = "recursive";
      outputHashAlgo = "sha256";
      outputHash = if hash == "" then lib.fakeHash else hash;
      # The file that NIX_SSL_CERT_FILE names need not be in the sandbox.
      impureEnvVars = lib.filter (
        name: name != "NIX_SSL_CERT_FILE"
      ) lib.fetchers.proxyImpureEnvVars;
      preferLocalBuild = true;
      __structuredAttrs = true;
      unsafeDiscardReferences.out = true;
    };
in
{
  inherit buildImage streamImage pullImage;
}
