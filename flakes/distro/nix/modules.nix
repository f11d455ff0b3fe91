# As much of nixpkgs' module system as the modules of this repository use: options with a type and a
# default, submodules, imports. A type is what makes one value of all that are defined.
rec {
  mkOption = { type, default ? null, description ? "" }@option:
    option // { _type = "option"; };

  types = rec {
    raw = place: values:
      if builtins.length values == 1 then builtins.head values
      else throw "The option `${place}' has ${toString (builtins.length values)} definitions";
    bool = place: values:
      let value = raw place values; in
      if builtins.isBool value then value else throw "The option `${place}' is not a Boolean";
    str = place: values:
      let value = raw place values; in
      if builtins.isString value then value else throw "The option `${place}' is not a string";
    listOf = type: place: values:
      map (value: type place [ value ]) (builtins.concatLists values);
    attrsOf = type: place: values:
      builtins.mapAttrs (name: type "${place}.${name}") (builtins.zipAttrsWith (_: all: all) values);
    lazyAttrsOf = attrsOf;
    submodule = module: place: values:
      (evalModules { inherit place; modules = [ module ] ++ map (config: { inherit config; }) values; }).config;
    # A list of modules, as flake-parts has it for `perSystem`.
    deferredModule = _: values: { imports = values; };
  };

  evalModules = { modules, specialArgs ? { }, place ? "" }:
    let
      isModule = set: set ? config || set ? options;
      load = module:
        let
          value = if builtins.isPath module then import module else module;
          arguments = specialArgs // { inherit config; lib = import ./lib.nix; };
          # Only what it names is looked at, so that a module may do without the rest.
          set = if builtins.isFunction value
            then value (builtins.intersectAttrs (builtins.functionArgs value) arguments)
            else value;
          own = removeAttrs set [ "_file" "imports" ];
        in
        builtins.concatMap load (set.imports or [ ])
        ++ [ (if isModule set then own else { config = own; }) ];
      loaded = builtins.concatMap load modules;

      isOption = value: value._type or null == "option";
      # Options of the same name are one, whose type has what both say.
      same = options: builtins.head options // { all = options; };
      joined = sets: builtins.zipAttrsWith
        (_: all: if isOption (builtins.head all) then same all else joined all)
        sets;
      options = joined (map (module: module.options or { }) loaded);

      defined = path: module: builtins.foldl'
        (values: name: builtins.concatMap (value: if value ? ${name} then [ value.${name} ] else [ ]) values)
        [ (module.config or { }) ]
        path;
      valueOf = path: option:
        let
          name = builtins.concatStringsSep "." path;
          values = builtins.concatMap (defined path) loaded;
          static = builtins.concatMap (each: each.static or [ ]) option.all;
        in
        if values != [ ] || static != [ ] then option.type (place + name) (static ++ values)
        else option.default or (throw "The option `${place}${name}' was accessed but has no value defined");
      evaluate = path: builtins.mapAttrs (name: value:
        if isOption value then valueOf (path ++ [ name ]) value else evaluate (path ++ [ name ]) value);

      # A definition without an option is a mistake in a name.
      unknown = options: set: builtins.filter (name: !(options ? ${name})) (builtins.attrNames set);
      mistakes = builtins.concatMap (module: unknown options (module.config or { })) loaded;
      config = evaluate [ ] options;
    in
    if mistakes != [ ] then throw "The option `${place}${builtins.head mistakes}' does not exist"
    else { inherit config options; };
}
