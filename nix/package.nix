# nix2oci, for `callPackage`. Where nixpkgs takes it over, `src` is the released sdist, which brings
# the launchers, and ./launchers.nix is not needed.
{
  lib,
  callPackage,
  python3Packages,
  deflate ? python3Packages.callPackage ./deflate.nix { },
  launchers ? callPackage ./launchers.nix { },
}:
let
  # What the package and its tests are made of, also in a checkout with a build in it.
  kept = [
    "LICENSE"
    "README.md"
    "docs"
    "hatch_build.py"
    "nix2oci"
    "pyproject.toml"
    "share"
    "tests"
  ];
  top = path: lib.head (lib.splitString "/" (lib.removePrefix "${toString ../.}/" (toString path)));
  isMade = name: name == "__pycache__" || lib.hasPrefix "launcher-" name;
in
python3Packages.buildPythonApplication {
  pname = "nix2oci";
  version = lib.head (
    builtins.match ''.*__version__ = "([^"]+)".*'' (builtins.readFile ../nix2oci/__init__.py)
  );
  pyproject = true;

  src = lib.cleanSourceWith {
    name = "nix2oci-source";
    src = ../.;
    filter = path: _: lib.elem (top path) kept && !isMade (baseNameOf path);
  };

  env.NIX2OCI_LAUNCHERS = "${launchers}";

  build-system = [ python3Packages.hatchling ];

  # nixpkgs' python-magic has the path of libmagic in it.
  pythonRemoveDeps = [ "pylibmagic" ];

  dependencies = [
    deflate
  ]
  ++ (with python3Packages; [
    click
    cryptography
    fastcrc
    msgspec
    python-magic
    pyyaml
    rich
    urllib3
    zstandard
  ]);

  # Those that judge the bytes that this build of the libraries gives. The others start the
  # installed command, Nix, or a server.
  nativeCheckInputs = with python3Packages; [
    hypothesis
    jsonschema
    pytest-timeout
    pytestCheckHook
  ];
  enabledTestPaths = [
    "tests/launcher"
    "tests/oci/layer"
    "tests/wrappers"
  ];
  disabledTestMarks = [ "real" ]; # need container tools
  disabledTestPaths = [
    "tests/launcher/test_build_hook.py" # builds the package, as was just done
  ];
  disabledTests = [
    "test_a_second_build_gives_the_same_bytes" # compiles the launchers again
  ];

  pythonImportsCheck = [
    "nix2oci"
    "nix2oci.cli"
  ];

  passthru = { inherit deflate launchers; };

  meta = {
    description = "One command from a flake output to an OCI image";
    longDescription = ''
      The closure of a flake output in planned layers, with a conventional root file system around
      it and the same bytes on every machine. Wrapper scripts become static launchers, so that many
      images need no shell. Neither Docker nor a daemon is needed.
    '';
    license = lib.licenses.asl20;
    mainProgram = "nix2oci";
    platforms = lib.platforms.linux ++ lib.platforms.darwin;
  };
}
