{
  description = "Programs of a Debian machine as Nix packages: a stand-in for nixpkgs without a network";

  outputs = { self }:
    let
      pkgs = import ./. { };
    in
    {
      packages.${pkgs.system} = pkgs.derivations;
      legacyPackages.${pkgs.system} = pkgs;
      lib = pkgs.lib;
    };
}
