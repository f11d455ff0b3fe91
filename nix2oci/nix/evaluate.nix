# What is known of a value that an installable names; nix/lib.nix asks the same. `or` catches what is
# missing, tryEval what throws; what is not a string becomes "". A function whose arguments all have
# defaults is called, as `nix build --file` does.
raw: with builtins; let
  try = x: let r = tryEval x; in if r.success then r.value else null;
  text = x: let s = try x; in if isString s then unsafeDiscardStringContext s else "";
  set = x: let s = try x; in if isAttrs s then s else { };
  list = x: let l = try x; in if isList l then l else if l == null then [ ] else [ l ];
  defaults = if typeOf raw == "lambda" then attrValues (functionArgs raw) else [ ];
  v = if defaults != [ ] && all (x: x) defaults then raw { } else raw;
  type = if isAttrs v then v.type or "" else "";
  meta = set (v.meta or null);
  identifiers = set (meta.identifiers or null);
  texts = x: map text (list x);
  string = s: { program = unsafeDiscardStringContext s; context = getContext s; };
in
if type == "derivation" then {
  kind = "derivation";
  shell = text (v.name or null) == "nix-shell"
    || v ? shellHook && elem (list (v.phases or null)) [ [ "buildPhase" ] [ "nobuildPhase" ] ];
  drv = unsafeDiscardStringContext v.drvPath;
  outputs = v.outputs or [ "out" ];
  outputName = v.outputName or "out";
  outputSpecified = v.outputSpecified or false;
  outputsToInstall = texts (meta.outputsToInstall or null);
  name = text (v.name or null);
  pname = text (v.pname or null);
  version = text (v.version or null);
  system = text (v.system or null);
  mainProgram = text (meta.mainProgram or null);
  description = text (meta.description or null);
  homepages = texts (meta.homepage or null);
  priority = let p = try (meta.priority or null); in if isInt p then p else null;
  isOCIImage = v.isOCIImage or false;
  licenses = map (l: text ((set l).spdxId or null)) (list (meta.license or null));
  cpe = text (identifiers.cpe or null);
  purls = texts (identifiers.purls or null);
}
else if type == "app" then { kind = "app"; } // string "${v.program}"
else if isString v || isPath v then { kind = "string"; } // string "${v}"
else if isAttrs v then { kind = "set"; names = attrNames v; }
else { kind = typeOf v; }
