# The meta of a package, from what Debian says of it. A package that can be had by two
# names has the main program that its name promises.
name: entry:
let
  # As nixpkgs has them; redis is its client there.
  programs = {
    bash = "bash";
    busybox = "busybox";
    busybox-static = "busybox";
    curl = "curl";
    gawk = "gawk";
    git = "git";
    gnugrep = "grep";
    gnused = "sed";
    grep = "grep";
    nginx = "nginx";
    nginx-light = "nginx";
    openssl = "openssl";
    perl = "perl";
    postgresql = "postgres";
    python3 = "python3";
    python3-flask = "flask";
    redis = "redis-cli";
    redis-server = "redis-server";
    sed = "sed";
    tini = "tini";
  };
  program =
    if programs ? ${name} then programs.${name}
    else if builtins.match "postgresql-[0-9]+" name != null then "postgres"
    else null;
in
{ inherit (entry) description; }
// (if entry.homepage == "" then { } else { inherit (entry) homepage; })
// (if program == null then { } else { mainProgram = program; })
