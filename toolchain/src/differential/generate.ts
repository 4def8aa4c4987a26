/**
 * Random guest functions for the differential suite: fast-check arbitraries of AssemblyScript source text.
 *
 * Every function has the same parameters, locals and globals, so that any expression fits anywhere. What WebAssembly
 * leaves open is avoided: payloads and signs of NaN never become anything else
 * (`bits32`, `quiet64` and their like make them canonical). What traps is
 * avoided as well: integer division goes through helpers that refuse only what WebAssembly refuses, so that the
 * most negative value modulo -1, which is 0 there and a fault on the processor, stays in.
 */
import fc from "fast-check";

export type ValueType = "i32" | "u32" | "i64" | "u64" | "f32" | "f64";

export interface GeneratedFunction {
  readonly result: ValueType;
  /** The function's body, without braces. */
  readonly body: string;
}

/** One call: a, b: i32; c, d: i64; e: f32; g: f64. */
export interface Call {
  readonly a: number;
  readonly b: number;
  readonly c: bigint;
  readonly d: bigint;
  readonly e: number;
  readonly g: number;
}

const TYPES: readonly ValueType[] = ["i32", "u32", "i64", "u64", "f32", "f64"];
const isFloat = (type: ValueType) => type === "f32" || type === "f64";
const isWide = (type: ValueType) => type === "i64" || type === "u64";

const VARIABLES: Readonly<Record<ValueType, readonly string[]>> = {
  i32: ["a", "b", "x", "G0"],
  u32: ["w"],
  i64: ["c", "d", "y", "G1"],
  u64: ["v"],
  f32: ["e", "s"],
  f64: ["g", "z", "G2"],
};
/** Variables that statements may assign. */
const ASSIGNABLE: Readonly<Record<ValueType, readonly string[]>> = {
  i32: ["x", "a", "G0"],
  u32: ["w"],
  i64: ["y", "c", "G1"],
  u64: ["v"],
  f32: ["s", "e"],
  f64: ["z", "g", "G2"],
};

const EDGE_32 = [0, 1, -1, 2, 7, 8, 31, 32, 255, 256, 65535, -128, 0x7fffffff, -0x80000000, -0x7fffffff];
const EDGE_64 = [
  0n,
  1n,
  -1n,
  32n,
  63n,
  0xffffffffn,
  0x100000000n,
  -0x100000000n,
  0x80000000n,
  2n ** 63n - 1n,
  -(2n ** 63n),
];
const EDGE_FLOAT = [
  0, -0, 1, -1, 0.5, -0.5, 1.5, 2.5, 3.5, -2.5, 1e10, -1e10, 4294967296, 2147483648, -2147483649,
  9007199254740994, 1e-7, 123456.789,
];
const EXTREME_64 = [
  1.7976931348623157e308, 5e-324, 2.2250738585072014e-308, 1e300, -1e-300, 3.4028235677973366e38,
];
const EXTREME_32 = [3.4028234663852886e38, 1.401298464324817e-45, 1.1754943508222875e-38, 16777217];

const number32 = fc.oneof(fc.constantFrom(...EDGE_32), fc.integer({ min: -0x80000000, max: 0x7fffffff }));
const number64 = fc.oneof(fc.constantFrom(...EDGE_64), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }));
const special = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
const numberF64 = fc.oneof(
  fc.constantFrom(...EDGE_FLOAT),
  fc.constantFrom(...EXTREME_64, ...special),
  fc.double({ noNaN: true }),
  fc.integer().map((value) => value / 64),
);
const numberF32 = fc
  .oneof(
    fc.constantFrom(...EDGE_FLOAT),
    fc.constantFrom(...EXTREME_32, ...special),
    fc.float({ noNaN: true }),
  )
  .map(Math.fround);

export const call: fc.Arbitrary<Call> = fc.record({
  a: number32,
  b: number32,
  c: number64,
  d: number64,
  e: numberF32,
  g: numberF64,
});

function floatText(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value < 0 ? "(-Infinity)" : "Infinity";
  const digits = String(Math.abs(value));
  const text = /[.e]/.test(digits) ? digits : `${digits}.0`;
  return value < 0 || Object.is(value, -0) ? `(-${text})` : text;
}

function literal(type: ValueType): fc.Arbitrary<string> {
  if (type === "f64") return numberF64.map((value) => `(<f64>${floatText(value)})`);
  if (type === "f32") return numberF32.map((value) => `(<f32>${floatText(value)})`);
  if (isWide(type)) return number64.map((value) => `(<${type}>0x${BigInt.asUintN(64, value).toString(16)})`);
  return number32.map((value) => `(<${type}>0x${(value >>> 0).toString(16)})`);
}

/** In front of a parenthesis "<" and "<<" read like the start of type arguments; the plus sign prevents it. */
function infix([left, operator, right]: readonly [string, string, string]): string {
  return `(${left} ${operator} ${operator === "<" || operator === "<<" ? "+" : ""}${right})`;
}

const binary = (type: ValueType, operators: readonly string[], inner: fc.Arbitrary<string>) =>
  fc.tuple(inner, fc.constantFrom(...operators), inner).map((parts) => `(<${type}>${infix(parts)})`);

const calling = (names: readonly string[], ...operands: fc.Arbitrary<string>[]) =>
  fc
    .tuple(fc.constantFrom(...names), fc.tuple(...operands))
    .map(([name, list]) => `${name}(${list.join(", ")})`);

const expressions = new Map<string, fc.Arbitrary<string>>();

/** An expression of a type, at most `depth` operators deep. */
export function expression(type: ValueType, depth: number): fc.Arbitrary<string> {
  const key = `${type} ${depth}`;
  let made = expressions.get(key);
  if (!made) {
    made = depth === 0 ? leaf(type) : compound(type, depth);
    expressions.set(key, made);
  }
  return made;
}

const leaf = (type: ValueType) =>
  fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(...VARIABLES[type]) },
    { weight: 2, arbitrary: literal(type) },
  );

/** A truth value (i32 0 or 1). */
function condition(depth: number): fc.Arbitrary<string> {
  const operators = ["<", "<=", ">", ">=", "==", "!="];
  const comparisons = TYPES.map((type) => {
    const inner = expression(type, depth);
    return fc.tuple(inner, fc.constantFrom(...operators), inner).map(infix);
  });
  const zero = fc
    .constantFrom<ValueType>("i32", "i64")
    .chain((type) => expression(type, depth).map((e) => `(!${e})`));
  return fc.oneof(...comparisons, zero);
}

function compound(type: ValueType, depth: number): fc.Arbitrary<string> {
  const same = expression(type, depth - 1);
  const of = (other: ValueType) => expression(other, depth - 1);
  const conditional = fc
    .tuple(condition(Math.max(0, depth - 2)), same, same)
    .chain(([test, yes, no]) =>
      fc.constantFrom(`(${test} ? ${yes} : ${no})`, `select<${type}>(${yes}, ${no}, ${test})`),
    );
  const address = of("i32").map((index) => `(scratch + (${index} & 0x78))`);
  const offset = fc.constantFrom(0, 1, 4, 8, 64);
  // AssemblyScript widens a load to the type that its context wants; the cast says which that is.
  const loading = fc.tuple(address, offset).map(([place, by]) => `(<${type}>load<${type}>(${place}, ${by}))`);
  const choices: fc.Arbitrary<string>[] = [leaf(type), conditional];
  if (isFloat(type)) {
    const other: ValueType = type === "f32" ? "f64" : "f32";
    choices.push(
      binary(type, ["+", "-", "*", "/"], same),
      binary(type, ["+", "-", "*", "/"], same),
      calling([`min<${type}>`, `max<${type}>`], same, same),
      calling([`copysign<${type}>`], same, calling([`quiet${type.slice(1)}`], same)),
      calling(
        ["abs", "sqrt", "ceil", "floor", "trunc", "nearest"].map((name) => `${name}<${type}>`),
        same,
      ),
      same.map((inner) => `(-${inner})`),
      fc
        .constantFrom<ValueType>("i32", "u32", "i64", "u64", other)
        .chain((from) => of(from).map((inner) => `(<${type}>${inner})`)),
      type === "f32"
        ? of("i32").map((inner) => `float32(${inner})`)
        : of("i64").map((inner) => `float64(${inner})`),
      fc.tuple(address, offset).map(([place, by]) => `quiet${type.slice(1)}(load<${type}>(${place}, ${by}))`),
    );
    if (type === "f64") choices.push(calling(["series"], of("i32"), same));
    return fc.oneof(...choices);
  }
  const width = isWide(type) ? 64 : 32;
  const shift = isWide(type) ? ["<<", ">>", ">>>"] : ["<<", ">>", ">>>"];
  const narrow = ["i8", "u8", "i16", "u16"];
  choices.push(
    loading,
    binary(type, ["+", "-", "*", "&", "|", "^"], same),
    binary(type, ["+", "-", "*", "&", "|", "^"], same),
    binary(type, shift, same),
    calling([`divide_${type}`, `modulo_${type}`], same, same),
    calling([`rotl<${type}>`, `rotr<${type}>`], same, same),
    calling(
      ["clz", "ctz", "popcnt"].map((name) => `${name}<${type}>`),
      same,
    ),
    same.map((inner) => `(<${type}>(-${inner}))`),
    same.map((inner) => `(<${type}>(~${inner}))`),
    fc.tuple(fc.constantFrom(...narrow), same).map(([small, inner]) => `(<${type}>(<${small}>${inner}))`),
    fc
      .tuple(fc.constantFrom(...narrow), address, offset)
      .map(([small, place, by]) => `(<${type}>load<${small}>(${place}, ${by}))`),
    condition(depth - 1).map((test) => `(<${type}>${test})`),
    fc
      .constantFrom(...TYPES.filter((other) => other !== type && !isFloat(other)))
      .chain((from) => of(from).map((inner) => `(<${type}>${inner})`)),
    fc
      .constantFrom<ValueType>("f32", "f64")
      .chain((from) => of(from).map((inner) => `${from}_to_${type}(${inner})`)),
    of(width === 64 ? "f64" : "f32").map((inner) => `(<${type}>bits${width}(${inner}))`),
  );
  if (type === "i32") {
    choices.push(
      calling(["recursive"], of("i32"), same),
      calling(["mutual"], of("i32"), same),
      fc
        .tuple(of("i32"), same, same)
        .map(([which, l, r]) => `call_indirect<i32>(chosen(${which}), ${l}, ${r})`),
    );
  }
  if (type === "i64") {
    choices.push(
      fc
        .tuple(same, of("f64"))
        .map(([l, r]) => `call_indirect<i64>(functionAddress<(p: i64, q: f64) => i64>(mixed), ${l}, ${r})`),
      calling(["recursive64"], of("i32"), same),
    );
  }
  return fc.oneof(...choices);
}

const EXPRESSION_DEPTH = 3;
const LOOP_DEPTH = 2;

function assignment(): fc.Arbitrary<string> {
  return fc
    .constantFrom(...TYPES)
    .chain((type) =>
      fc
        .tuple(fc.constantFrom(...ASSIGNABLE[type]), expression(type, EXPRESSION_DEPTH))
        .map(([variable, value]) => `${variable} = ${value};`),
    );
}

function storing(): fc.Arbitrary<string> {
  const integer = fc
    .constantFrom("i8", "i16", "i32", "i64")
    .chain((size) =>
      expression(size === "i64" ? "i64" : "i32", 2).map((value) => ({ size, value: `(<${size}>${value})` })),
    );
  const float = fc.constantFrom<ValueType>("f32", "f64").chain((size) =>
    expression(size, 2).map((value) => ({
      size: size as string,
      value: `quiet${size.slice(1)}(${value})`,
    })),
  );
  return fc
    .tuple(fc.oneof(integer, float), expression("i32", 1), fc.constantFrom(0, 2, 8))
    .map(([{ size, value }, index, by]) => `store<${size}>(scratch + (${index} & 0x78), ${value}, ${by});`);
}

function block(loops: number): fc.Arbitrary<string> {
  return fc.array(statement(loops), { minLength: 1, maxLength: 3 }).map((list) => list.join("\n"));
}

const statements = new Map<number, fc.Arbitrary<string>>();

/** A statement with at most `loops` loops around each other inside. */
function statement(loops: number): fc.Arbitrary<string> {
  let made = statements.get(loops);
  if (made) return made;
  const simple = fc.oneof({ weight: 4, arbitrary: assignment() }, { weight: 1, arbitrary: storing() });
  if (loops === 0) {
    made = simple;
  } else {
    const counter = `k${loops}`;
    const inner = block(loops - 1);
    const branch = fc
      .tuple(condition(2), inner, fc.option(inner))
      .map(([test, yes, no]) => `if (${test}) {\n${yes}\n}${no === null ? "" : ` else {\n${no}\n}`}`);
    const leave = fc.option(fc.tuple(condition(1), fc.constantFrom("break", "continue")), { nil: undefined });
    const counted = fc
      .tuple(fc.integer({ min: 1, max: 6 }), inner, leave, inner)
      .map(([count, before, exit, after]) => {
        const jump = exit ? `if (${exit[0]}) ${exit[1]};\n` : "";
        return `for (let ${counter}: i32 = 0; ${counter} < ${count}; ${counter}++) {\nx += ${counter};\n${before}\n${jump}${after}\n}`;
      });
    const downwards = fc
      .tuple(fc.integer({ min: 1, max: 5 }), inner, condition(1))
      .map(
        ([count, body, test]) =>
          `let ${counter}: i32 = ${count};\ndo {\n${body}\nw ^= ${counter};\n} while (--${counter} > 0 && ${test});`,
      )
      .map((text) => `{\n${text}\n}`);
    const cases = fc.array(fc.tuple(inner, fc.boolean()), { minLength: 2, maxLength: 6 });
    const choice = fc.tuple(expression("i32", 2), cases, inner).map(([value, list, otherwise]) => {
      const arms = list.map(
        ([body, stop], index) =>
          `case ${index * (list.length > 4 ? 1 : 3)}: {\n${body}\n${stop ? "break;\n" : ""}}`,
      );
      return `switch (${value} & 15) {\n${arms.join("\n")}\ndefault: {\n${otherwise}\n}\n}`;
    });
    const early = fc.tuple(condition(2)).map(([test]) => `if (${test}) return RESULT;`);
    made = fc.oneof(
      { weight: 5, arbitrary: simple },
      { weight: 2, arbitrary: branch },
      { weight: 2, arbitrary: counted },
      { weight: 1, arbitrary: downwards },
      { weight: 1, arbitrary: choice },
      { weight: 1, arbitrary: early },
    );
  }
  statements.set(loops, made);
  return made;
}

export const generatedFunction: fc.Arbitrary<GeneratedFunction> = fc.constantFrom(...TYPES).chain((result) =>
  fc
    .tuple(
      fc.array(statement(LOOP_DEPTH), { minLength: 0, maxLength: 5 }),
      expression(result, 2),
      expression(result, EXPRESSION_DEPTH),
    )
    .map(([list, early, last]) => ({
      result,
      body: [...list, `return ${last};`].join("\n").replaceAll("return RESULT;", `return ${early};`),
    })),
);
