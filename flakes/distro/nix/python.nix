# python3 as nixpkgs has it: the interpreter, its modules, and interpreters with modules.
{ debian, facts, pkgs, stdenv, runCommand, lib }:
let
  inherit (builtins) attrNames concatMap elemAt filter listToAttrs match;

  bare = debian.python3;
  pythonVersion = elemAt (match "([0-9]+\\.[0-9]+).*" bare.version) 0;
  sitePackages = "lib/python${pythonVersion}/site-packages";

  moduleName = name: match "python3-(.*)" name;
  isModule = name: moduleName name != null;
  modules = listToAttrs (map
    (name: { name = elemAt (moduleName name) 0; value = debian.${name}; })
    (filter isModule (attrNames debian)));

  pypi = import ./pypi.nix { inherit bare facts lib runCommand sitePackages stdenv; };

  # A module and those that it imports.
  withImports = module: [ module ]
    ++ map (name: debian.${name}) (filter isModule (module.needs or [ ]))
    ++ concatMap withImports (module.imports or [ ]);

  # A virtual environment, which is CPython's own way to have modules without a wrapper:
  # the interpreter finds pyvenv.cfg above the link that it is started by.
  withPackages = choose:
    runCommand "python3-${bare.version}-env"
      {
        modules = concatMap withImports (choose (modules // pypi));
        meta = bare.meta;
        passthru = { inherit pythonVersion sitePackages; };
      } ''
      mkdir -p "$out/bin" "$out/${sitePackages}"
      for name in python python3 python${pythonVersion}; do
        ln -s ${bare}/bin/python${pythonVersion} "$out/bin/$name"
      done
      {
        echo "home = ${bare}/bin"
        echo "include-system-site-packages = false"
        echo "version = ${bare.version}"
      } > "$out/pyvenv.cfg"
      for module in $modules; do
        linkTree "$module/${sitePackages}" "$out/${sitePackages}"
        for program in "$module"/bin/*; do ln -sfn "$program" "$out/bin/"; done
      done
    '';

  python3 = bare // {
    inherit pythonVersion sitePackages withPackages;
    interpreter = "${bare}/bin/python3";
    pkgs = modules // pypi // {
      python = python3;
      callPackage = lib.callPackageWith (pkgs // python3.pkgs);
    };
  };
in
{
  inherit python3;
  inherit (pypi) fetchPypi;
  python3Packages = python3.pkgs;
}
