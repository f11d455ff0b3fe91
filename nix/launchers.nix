# The launchers for both architectures, as the wheel has them: compiled by the zig that
# hatch_build.py names. nixpkgs' own zig is of another version and gives other bytes, which
# would get into images. Only the two files, 9 kB, are in the store.
{
  lib,
  stdenvNoCC,
  fetchPypi,
  python3,
  unzip,
}:
let
  version = "0.17.1";

  # The wheel is a static program with its library, so it needs no patching.
  wheels = {
    x86_64-linux = {
      platform = "manylinux_2_12_x86_64.manylinux2010_x86_64.musllinux_1_1_x86_64";
      hash = "sha256-6mzF2HsDPPCu37yPlUmpCMrmxQrDHxaYGI+kinRSS1Q=";
    };
    aarch64-linux = {
      platform = "manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64";
      hash = "sha256-t8XwL8zUD4m5me4WofXdztVuYYI3D4r/5JS8+KKM8H4=";
    };
    x86_64-darwin = {
      platform = "macosx_13_0_x86_64";
      hash = "sha256-TgtLnAK40NIg6ZSAEPhgti/xHZars5di7KX6LvP3vJc=";
    };
    aarch64-darwin = {
      platform = "macosx_13_0_arm64";
      hash = "sha256-CZU7avf2QWi5FRgKQndPUg+S2G72Mxso4zkVx+HwuyM=";
    };
  };
  system = stdenvNoCC.buildPlatform.system;
in
stdenvNoCC.mkDerivation {
  pname = "nix2oci-launchers";
  version = "1-zig-${version}";

  src = lib.cleanSourceWith {
    name = "nix2oci-launcher-source";
    src = ../.;
    filter =
      path: _:
      lib.elem (lib.removePrefix "${toString ../.}/" (toString path)) [
        "hatch_build.py"
        "nix2oci"
        "nix2oci/launcher"
        "nix2oci/launcher/kernel.h"
        "nix2oci/launcher/launcher.c"
        "nix2oci/launcher/launcher.ld"
        "nix2oci/launcher/launchers.sha256"
      ];
  };

  zig = fetchPypi (
    {
      pname = "ziglang";
      format = "wheel";
      dist = "py3";
      python = "py3";
      inherit version;
    }
    // wheels.${system} or (throw "nix2oci: no zig to compile the launchers with on ${system}")
  );

  nativeBuildInputs = [
    (python3.withPackages (packages: [ packages.hatchling ]))
    unzip
  ];

  dontConfigure = true;

  buildPhase = ''
    runHook preBuild
    unzip -q "$zig" 'ziglang/*' -d "$TMPDIR"
    chmod +x "$TMPDIR/ziglang/zig"
    PATH=$TMPDIR/ziglang:$PATH python3 -B hatch_build.py made
    runHook postBuild
  '';

  installPhase = ''
    runHook preInstall
    mkdir -p "$out"
    cp made/launcher-* "$out"
    runHook postInstall
  '';

  dontFixup = true; # their bytes are the point

  meta = {
    description = "Static programs that nix2oci puts in the place of wrapper scripts";
    license = lib.licenses.asl20;
    platforms = lib.attrNames wheels;
  };
}
