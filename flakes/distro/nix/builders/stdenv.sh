# The builder of stdenv.mkDerivation: unpack, patch, configure, build, check, install, fixup.
# A phase is the text of the attribute of that name, or the function below.
set -e -o pipefail
shopt -s nullglob
umask 022
export HOME=/homeless-shelter CC=${CC:-cc} CXX=${CXX:-c++} PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1
outputs=${outputs:-out}
prefix=${out:-}

PATH=
for input in ${nativeBuildInputs-} ${buildInputs-} ${propagatedBuildInputs-}; do
  [[ -d $input/bin ]] && PATH+=$input/bin:
  [[ -d $input/include ]] && CPATH=${CPATH:+$CPATH:}$input/include
  [[ -d $input/lib ]] && LIBRARY_PATH=${LIBRARY_PATH:+$LIBRARY_PATH:}$input/lib
done
export PATH+=/usr/bin:/bin
[[ -z ${CPATH-} ]] || export CPATH
[[ -z ${LIBRARY_PATH-} ]] || export LIBRARY_PATH

runHook() { if declare -F "$1" > /dev/null; then "$1"; else eval "${!1-}"; fi; }

runPhase() {
  echo "Running phase: $1" >&2
  if [[ -n ${!1-} ]]; then eval "${!1}"; else "$1"; fi
}

unpackPhase() {
  runHook preUnpack
  local source base
  for source in ${srcs-${src-}}; do
    base=${source##*/}
    base=${base#*-}
    if [[ -d $source ]]; then
      cp -r --no-preserve=mode,timestamps "$source" "$base"
      # Without its mode a script is no program any more: give that bit back.
      (cd "$source" && find . -type f -perm -u+x) | (cd "$base" && xargs -r -d '\n' chmod +x)
    else
      case $base in
        *.tar | *.tar.* | *.tgz) tar -xf "$source" ;;
        *) cp "$source" "$base" ;;
      esac
    fi
  done
  local -a directories=(*/)
  [[ -n ${sourceRoot-} ]] || sourceRoot=${directories[0]-.}
  runHook postUnpack
}

patchPhase() {
  runHook prePatch
  for patch in ${patches-}; do patch -p1 < "$patch"; done
  runHook postPatch
}

configurePhase() {
  runHook preConfigure
  [[ ! -x configure ]] || ./configure --prefix="$prefix" ${configureFlags-}
  runHook postConfigure
}

hasMakefile() { [[ -f Makefile || -f makefile || -f GNUmakefile ]]; }

buildPhase() {
  runHook preBuild
  if hasMakefile; then make PREFIX="$prefix" prefix="$prefix" ${makeFlags-} ${buildFlags-}; fi
  runHook postBuild
}

checkPhase() {
  runHook preCheck
  if hasMakefile; then make ${makeFlags-} "${checkTarget:-check}"; fi
  runHook postCheck
}

installPhase() {
  runHook preInstall
  hasMakefile || { echo "no Makefile: installPhase has nothing to do" >&2; exit 1; }
  make PREFIX="$prefix" prefix="$prefix" ${makeFlags-} "${installTargets:-install}"
  runHook postInstall
}

stripOutputs() {
  local output directory
  for output in $outputs; do
    for directory in "${!output}"/{bin,lib,libexec}; do
      find "$directory" -type f -exec grep -qlP -m 1 '^\x7fELF' {} \; -exec strip -S {} + 2> /dev/null || true
    done
  done
}

fixupPhase() {
  runHook preFixup
  local output
  for output in $outputs; do [[ -e ${!output} ]] || mkdir -p "${!output}"; done
  [[ -n ${dontStrip-} ]] || stripOutputs
  inputs="${buildInputs-} ${propagatedBuildInputs-} $baseInputs" outputs=$outputs \
    /usr/bin/python3 -sEB "$relink"
  runHook postFixup
}

substitute() {
  local input=$1 output=$2 text
  shift 2
  text=$(cat "$input"; printf .)
  while (($#)); do
    case $1 in
      --replace-fail)
        [[ $text = *"$2"* ]] || { echo "substitute: '$2' is not in '$input'" >&2; return 1; }
        text=${text//"$2"/"$3"}; shift 3 ;;
      --replace-warn | --replace-quiet) text=${text//"$2"/"$3"}; shift 3 ;;
      --subst-var) text=${text//"@$2@"/"${!2}"}; shift 2 ;;
      --subst-var-by) text=${text//"@$2@"/"$3"}; shift 3 ;;
      *) echo "substitute: unknown option '$1'" >&2; return 1 ;;
    esac
  done
  printf %s "${text%.}" > "$output"
}

substituteInPlace() {
  local file=$1
  shift
  substitute "$file" "$file.new" "$@"
  cat "$file.new" > "$file"
  rm "$file.new"
}

# linkTree SOURCE TARGET: links to the files of one tree in another, over what it has.
linkTree() {
  [[ -e $1 ]] || return 0
  mkdir -p "$2"
  cp -rsf --no-preserve=mode "$1/." "$2/"
}

for input in ${nativeBuildInputs-} ${propagatedNativeBuildInputs-}; do
  if [[ -f $input/nix-support/setup-hook ]]; then source "$input/nix-support/setup-hook"; fi
done

if [[ -n ${buildCommand-} ]]; then
  eval "$buildCommand"
  exit 0
fi

[[ -n ${dontUnpack-} ]] || { runPhase unpackPhase; cd "${sourceRoot:-.}"; }
[[ -n ${dontPatch-} ]] || runPhase patchPhase
[[ -n ${dontConfigure-} ]] || runPhase configurePhase
[[ -n ${dontBuild-} ]] || runPhase buildPhase
[[ -z ${doCheck-} ]] || runPhase checkPhase
[[ -n ${dontInstall-} ]] || runPhase installPhase
[[ -n ${dontFixup-} ]] || runPhase fixupPhase
[[ -z ${doInstallCheck-} ]] || eval "${installCheckPhase-}"
