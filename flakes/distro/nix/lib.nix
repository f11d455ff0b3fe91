# The functions of nixpkgs' lib that flakes like the samples use, under the same names.
let
  inherit (builtins) concatStringsSep elem filter isList listToAttrs map match replaceStrings;

  license = spdxId: fullName: {
    inherit spdxId fullName;
    shortName = replaceStrings [ "." "-only" "-or-later" ] [ "" "" "Plus" ] spdxId;
    url = "https://spdx.org/licenses/${spdxId}.html";
    free = true;
    deprecated = false;
  };

  output = name: package:
    if elem name (package.outputs or [ ]) then package.${name} else package.out or package;
in
rec {
  genAttrs = names: f: listToAttrs (map (name: { inherit name; value = f name; }) names);

  callPackageWith = scope: function: arguments:
    let f = if builtins.isFunction function then function else import function; in
    f (builtins.intersectAttrs (builtins.functionArgs f) scope // arguments);

  getOutput = output;
  getBin = output "bin";
  getLib = output "lib";
  getDev = output "dev";

  getExe' = package: program: "${getBin package}/bin/${program}";
  getExe = package: getExe' package
    (package.meta.mainProgram or (throw "getExe: package '${package.name}' has no meta.mainProgram"));

  makeSearchPath = directory: paths:
    concatStringsSep ":" (map (path: "${path}/${directory}") (filter (path: path != null) paths));
  makeBinPath = packages: makeSearchPath "bin" (map getBin packages);
  makeLibraryPath = packages: makeSearchPath "lib" (map getLib packages);

  optional = condition: value: if condition then [ value ] else [ ];
  optionals = condition: values: if condition then values else [ ];
  optionalString = condition: text: if condition then text else "";
  optionalAttrs = condition: attributes: if condition then attributes else { };
  concatMapStringsSep = separator: f: values: concatStringsSep separator (map f values);
  concatLines = concatMapStringsSep "" (line: line + "\n");
  isDerivation = value: value.type or null == "derivation";

  # A derivation with attributes beside those that builtins.derivation gives.
  extendDerivation = condition: attributes: drv:
    assert condition;
    let
      outputs = genAttrs (drv.outputs or [ "out" ])
        (name: drv // attributes // { inherit (drv.${name}) drvPath outPath outputName; outputSpecified = true; });
    in
    drv // outputs // attributes;

  mapAttrs' = f: set: listToAttrs (map (name: f name set.${name}) (attrNames set));
  nameValuePair = name: value: { inherit name value; };
  toList = value: if isList value then value else [ value ];
  cleanSource = source: source;
  inherit (builtins) any attrNames attrValues concatMap concatStringsSep elem elemAt filter head
    isAttrs listToAttrs mapAttrs replaceStrings tail;
  id = value: value;

  hasPrefix = prefix: text: builtins.substring 0 (builtins.stringLength prefix) text == prefix;
  removePrefix = prefix: text:
    if hasPrefix prefix text
    then builtins.substring (builtins.stringLength prefix) (-1) text
    else text;
  splitString = separator: text:
    filter builtins.isString (builtins.split "[${separator}]" (toString text));

  cleanSourceWith = { src, filter, name ? "source" }: builtins.path { path = src; inherit filter name; };

  # A word for a shell, bare when it needs no quotes.
  escapeShellArg = value:
    let text = toString value; in
    if match "[[:alnum:],._+:@%/-]+" text != null then text
    else "'${replaceStrings [ "'" ] [ "'\\''" ] text}'";
  escapeShellArgs = concatMapStringsSep " " escapeShellArg;

  licenses = {
    agpl3Plus = license "AGPL-3.0-or-later" "GNU Affero General Public License v3.0 or later";
    asl20 = license "Apache-2.0" "Apache License 2.0";
    bsd2 = license "BSD-2-Clause" ''BSD 2-clause "Simplified" License'';
    bsd3 = license "BSD-3-Clause" ''BSD 3-clause "New" or "Revised" License'';
    gpl2Plus = license "GPL-2.0-or-later" "GNU General Public License v2.0 or later";
    gpl3Plus = license "GPL-3.0-or-later" "GNU General Public License v3.0 or later";
    isc = license "ISC" "ISC License";
    mit = license "MIT" "MIT License";
    mpl20 = license "MPL-2.0" "Mozilla Public License 2.0";
  };
  fakeHash = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
  fetchers.proxyImpureEnvVars = [ "http_proxy" "https_proxy" "all_proxy" "no_proxy" "NIX_SSL_CERT_FILE" ];

  inherit (import ./modules.nix) evalModules mkOption types;

  maintainers = { };
  platforms = rec {
    linux = [ "x86_64-linux" "aarch64-linux" ];
    darwin = [ "x86_64-darwin" "aarch64-darwin" ];
    unix = linux;
    all = linux;
  };
  systems.flakeExposed = platforms.linux;
}
