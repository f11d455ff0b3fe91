# What a program needs beyond relinking to run out of the store, where Debian has built
# the place of its files into it. Each is a text for bash, run after relink.py.
{ facts, packages }:
let
  inherit (builtins) concatStringsSep elemAt filter match;

  pythonVersion = elemAt (match "([0-9]+\\.[0-9]+).*" (facts.packages.python3.version or "3.0")) 0;
  isPython = name: match "python3-.*" name != null;
  isPerl = name: match "lib.*-perl" name != null;
  sitePackages = "lib/python${pythonVersion}/site-packages";

  wrapping = ''
    runtimeShell=${packages.bash}/bin/bash
    source ${./builders}/make-wrapper.sh
  '';

  # Without bytecode beside it Python would write it, and root can, even into the store.
  # It is good for a source of that time and size, and in a store all times are 1.
  compile = python: ''
    find "$out/lib/python${pythonVersion}" -name '*.py' -exec touch -d @1 {} +
    PYTHONHASHSEED=0 ${python} -m compileall -q -f --invalidation-mode timestamp \
      "$out/lib/python${pythonVersion}"
  '';

  # As nixpkgs has it: the program itself adds the modules, a wrapper the programs. What
  # the kernel makes of a script's name is not what it was called by, so it is told that too.
  python = name:
    let
      modules = filter isPython packages.${name}.needs;
      sites = concatStringsSep "," (map (n: "'${packages.${n}}/${sitePackages}'") modules);
    in
    wrapping + ''
      shopt -s nullglob
      for program in "$out"/bin/*; do
        [[ -f $program && ! -L $program ]] || continue
        head -n 1 "$program" | grep -q '^#!.*/python3' || continue
        sed -i "1a import sys;import site;import functools;sys.argv[0] = '$program';\
      functools.reduce(lambda k, p: site.addsitedir(p, k), \
      ['$out/${sitePackages}',${sites}], site._init_pathinfo());" "$program"
        wrapProgram "$program" --set PYTHONNOUSERSITE true \
          --prefix PATH : "$out/bin:${packages.python3}/bin"
      done
      if [[ -d $out/lib/python${pythonVersion} ]]; then
        ${compile "${packages.python3}/bin/python3"}
      fi
    '';

  # A Perl program finds its modules by a variable.
  perlProgram = name:
    let
      places = map (n: "${packages.${n}}/share/perl5") (filter isPerl packages.${name}.needs);
    in
    wrapping + ''
      shopt -s nullglob
      for program in "$out"/bin/*; do
        [[ -f $program && ! -L $program ]] || continue
        head -n 1 "$program" | grep -q '^#!.*/perl' || continue
        wrapProgram "$program" --prefix PERL5LIB : "${concatStringsSep ":" ([ "$out/share/perl5" ] ++ places)}"
      done
    '';

  gitPlaces = ''
    --set-default GIT_EXEC_PATH "$out/lib/git-core" \
    --set-default GIT_TEMPLATE_DIR "$out/share/git-core/templates" \
    --set-default GITPERLLIB "$out/share/perl5:${packages.liberror-perl}/share/perl5" \
    --suffix PATH : "${packages.coreutils}/bin:${packages.gnused}/bin:${packages.gnugrep}/bin"'';
in
{
  inherit pythonVersion;
  default = name:
    let
      needs = packages.${name}.needs or [ ];
    in
    if builtins.any isPython ([ name ] ++ needs) then python name
    else if builtins.any isPerl ([ name ] ++ needs) then perlProgram name
    else "";

  bash = "ln -s bash $out/bin/sh";

  busybox = ''
    for applet in $("$out/bin/busybox" --list); do
      [[ -e $out/bin/$applet ]] || ln -s busybox "$out/bin/$applet"
    done
  '';

  cacert = ''
    mkdir -p "$out/etc/ssl/certs"
    cat "$out"/share/ca-certificates/mozilla/*.crt > "$out/etc/ssl/certs/ca-bundle.crt"
    rm -rf "$out/bin" "$out/share" "$out/etc/ca-certificates"
  '';

  gawk = "ln -s gawk $out/bin/awk";

  # git asks for its parts at the place that it was built for, and runs `/bin/sh -c`: the
  # shorter name `sh` is looked up in PATH, in which git puts its own directory first.
  git = wrapping + ''
    cd "$out"
    grep -rlaP '\x00/bin/sh\x00' bin lib/git-core |
      xargs sed -i 's|\x00/bin/sh\x00|\x00sh\x00\x00\x00\x00\x00\x00|g'
    ln -s ${packages.bash}/bin/sh lib/git-core/sh
    rm bin/git
    makeWrapper "$out/lib/git-core/git" "$out/bin/git" --inherit-argv0 ${gitPlaces}
    for program in git-shell scalar; do wrapProgram "$out/bin/$program" ${gitPlaces}; done
  '';

  nginx = "ln -s etc/nginx $out/conf";

  # perl looks for its own modules where Debian has them; its programs find them through it.
  # Debian's perldoc only says that it is in another package.
  perl = wrapping + ''
    shopt -s nullglob
    cd "$out"
    rm -f bin/perldoc
    modules=
    for directory in share/perl5 share/perl/5.*.* lib/*/perl5/5.* lib/*/perl/5.*.* lib/*/perl-base; do
      [[ -L $directory ]] || modules+=''${modules:+:}$out/$directory
    done
    wrapProgram "$out/bin/perl" --suffix PERL5LIB : "$modules"
  '';

  # The programs find share/ and lib/ from where they are, so they stay there. The time zones
  # are where a PostgreSQL has them that is not built to use the system's.
  postgresql = ''
    mkdir -p "$out/bin"
    cd "$out/bin"
    ln -s ../lib/postgresql/*/bin/* .
    for share in "$out"/share/postgresql/*; do
      ln -s ${packages.tzdata}/share/zoneinfo "$share/timezone"
    done
  '';

  # As nixpkgs does: subprocess with shell=True has the store's shell. What is left out is
  # for the installing of other packages.
  python3 = ''
    rm -rf "$out/share/python3/runtime.d"
    ln -s python3 "$out/bin/python"
    subprocess=$out/lib/python${pythonVersion}/subprocess.py
    sed -i "s|'/bin/sh'|'${packages.bash}/bin/sh'|" "$subprocess"
    grep -q "'${packages.bash}/bin/sh'" "$subprocess"
    ${compile "$out/bin/python3"}
  '';
}
