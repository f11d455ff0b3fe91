# The Python package `deflate`, which nixpkgs does not have, with the libdeflate of its own sdist:
# another version of it may give other bytes, and then layers have other digests than those of
# nix2oci that was installed by pip (docs/reproducibility.md).
{
  lib,
  buildPythonPackage,
  fetchPypi,
  scikit-build-core,
  cmake,
  ninja,
}:
buildPythonPackage rec {
  pname = "deflate";
  version = "0.9.0";
  pyproject = true;

  src = fetchPypi {
    inherit pname version;
    hash = "sha256-li4Kbx6jqUuQCo6gzhOPqSv8uv2luGNnEEoln/zTRis=";
  };

  build-system = [
    scikit-build-core
    cmake
    ninja
  ];
  dontUseCmakeConfigure = true; # scikit-build-core calls it

  pythonImportsCheck = [ "deflate" ];

  meta = {
    description = "Python wrapper for libdeflate";
    homepage = "https://github.com/dcwatson/deflate";
    license = lib.licenses.mit;
  };
}
