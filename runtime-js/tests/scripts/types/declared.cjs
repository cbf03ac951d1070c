// Prints as JSON what TypeScript sees: `node declared.cjs TYPESCRIPT DISCO_D_TS LIB`.
//
// `own`: what `disco.d.ts` declares in the global scope, with the names of members. `interfaces`: those of its interfaces that have
// methods. `lib`: the language's own globals at this level.
const [typescript, file, lib] = process.argv.slice(2);
const ts = require(typescript);

const program = ts.createProgram([file], { lib: [`lib.${lib}.d.ts`], noEmit: true, types: [], strict: true });
const checker = program.getTypeChecker();
const source = program.getSourceFile(file);
const isOwn = (symbol) => symbol.declarations?.some((declaration) => declaration.getSourceFile() === source);
const isLib = (symbol) => symbol.declarations?.some((declaration) => program.isSourceFileDefaultLibrary(declaration.getSourceFile()));
const named = (symbols) => symbols.map((symbol) => symbol.name).filter((name) => !name.startsWith("__@") && !name.startsWith("#")).sort();
const isPrivate = (symbol) => symbol.declarations?.some((one) => ts.getCombinedModifierFlags(one) & ts.ModifierFlags.Private);

function describe(symbol) {
  const type = checker.getTypeOfSymbolAtLocation(symbol, source);
  // Of namespaces what is a value.
  const properties = checker.getPropertiesOfType(type).filter((one) => one.flags & ts.SymbolFlags.Value);
  const prototype = properties.find((property) => property.name === "prototype");
  const statics = named(properties.filter((property) => property !== prototype));
  if (prototype === undefined) return { statics };
  const instance = symbol.flags & ts.SymbolFlags.Class ? checker.getDeclaredTypeOfSymbol(symbol) : checker.getTypeOfSymbolAtLocation(prototype, source);
  return { statics, members: named(checker.getPropertiesOfType(instance).filter((one) => !isPrivate(one))) };
}

const result = { own: {}, interfaces: {}, lib: {} };
for (const symbol of checker.getSymbolsInScope(source, ts.SymbolFlags.Value)) {
  if (["globalThis", "undefined", "arguments"].includes(symbol.name)) continue;
  if (isLib(symbol)) result.lib[symbol.name] = describe(symbol);
  else if (isOwn(symbol)) result.own[symbol.name] = describe(symbol);
}
for (const statement of source.statements) {
  if (!ts.isInterfaceDeclaration(statement)) continue;
  const type = checker.getTypeAtLocation(statement.name);
  const hasMethods = statement.members.some((member) => ts.isMethodSignature(member));
  if (hasMethods && !isLib(type.symbol)) result.interfaces[statement.name.text] = named(checker.getPropertiesOfType(type));
}
console.log(JSON.stringify(result));
