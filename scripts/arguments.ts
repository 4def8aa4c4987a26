/**
 * Checks the law of §5.1.1: who implements an interface does not check its pointer arguments. Range checks are the call path's business, and
 * what is in range but bad meets the scratch page.
 *
 * In every class of `os` that implements interfaces, a pointer argument (`In`, `Out`, `InOut`, `…Bytes`, `InString`, `OutInterface`) must not be
 * compared, masked, negated or tested, in the method or in a function of the same file to which it is handed on. Outside of the
 * kernel no file may name a bound of address spaces or a function that copies or probes a caller's memory. Prints every place that
 * does and exits with 1.
 */

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const POINTER_TYPES = /^(In|Out|InOut)<|^(InBytes|OutBytes|InOutBytes|InString|OutInterface)$/;
const BOUNDS =
  /^(USER_(END|PRIVATE_\w+)|KERNEL_(BASE|LINEAR)|SHARED_(START|END)|copy(In|Out)|probe(For|Read|Write|Argument|Pointer)\w*|isUser\w*|validate\w*|check(Pointer|Address|Range)\w*)$/;

/** Kernel objects that keep a caller's word after the call, and so look it up instead of using it. */
const KEEPERS = new Set(["os/kernel/objects/alarms.ts"]);

const { SyntaxKind } = ts;
const TESTING = new Set<ts.SyntaxKind>([
  SyntaxKind.EqualsEqualsToken,
  SyntaxKind.EqualsEqualsEqualsToken,
  SyntaxKind.ExclamationEqualsToken,
  SyntaxKind.ExclamationEqualsEqualsToken,
  SyntaxKind.LessThanToken,
  SyntaxKind.LessThanEqualsToken,
  SyntaxKind.GreaterThanToken,
  SyntaxKind.GreaterThanEqualsToken,
  SyntaxKind.AmpersandToken,
  SyntaxKind.PercentToken,
  SyntaxKind.AmpersandAmpersandToken,
  SyntaxKind.BarBarToken,
]);

const root = fileURLToPath(new URL("..", import.meta.url));

export interface Complaint {
  readonly line: number;
  readonly what: string;
}

/** Places in one file that break the law. */
export function argumentChecks(path: string, text: string): readonly Complaint[] {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const complaints: Complaint[] = [];
  const functions = new Map<string, ts.FunctionDeclaration>();
  for (const statement of source.statements) {
    if (ts.isFunctionDeclaration(statement) && statement.name) functions.set(statement.name.text, statement);
  }
  const complain = (node: ts.Node, what: string) => {
    const line = source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1;
    if (!complaints.some((other) => other.line === line && other.what === what))
      complaints.push({ line, what });
  };

  /** Looks at all uses of the argument `name` in `body`; `seen` are the functions that it went through. */
  const follow = (body: ts.Node, name: string, seen: readonly string[]): void => {
    const visit = (node: ts.Node): void => {
      if (ts.isIdentifier(node) && node.text === name) use(node, seen);
      ts.forEachChild(node, visit);
    };
    visit(body);
  };
  const use = (node: ts.Identifier, seen: readonly string[]): void => {
    let outer: ts.Node = node;
    while (
      ts.isParenthesizedExpression(outer.parent) ||
      ts.isTypeAssertionExpression(outer.parent) ||
      ts.isAsExpression(outer.parent)
    )
      outer = outer.parent;
    const { parent } = outer;
    const tested =
      (ts.isBinaryExpression(parent) && TESTING.has(parent.operatorToken.kind)) ||
      (ts.isPrefixUnaryExpression(parent) && parent.operator === SyntaxKind.ExclamationToken) ||
      (ts.isIfStatement(parent) && parent.expression === outer) ||
      (ts.isConditionalExpression(parent) && parent.condition === outer);
    if (tested) complain(node, `the pointer argument ${node.text} is tested`);
    if (!ts.isCallExpression(parent) || !ts.isIdentifier(parent.expression)) return;
    const callee = functions.get(parent.expression.text);
    const parameter = callee?.parameters[parent.arguments.indexOf(outer as ts.Expression)];
    if (!callee?.body || !parameter || seen.includes(parent.expression.text)) return;
    follow(callee.body, parameter.name.getText(source), [...seen, parent.expression.text]);
  };

  const visit = (node: ts.Node): void => {
    if (
      ts.isClassDeclaration(node) &&
      node.heritageClauses?.some((c) => c.token === SyntaxKind.ImplementsKeyword)
    ) {
      for (const member of node.members) {
        if (!ts.isMethodDeclaration(member) || !member.body) continue;
        for (const parameter of member.parameters) {
          if (POINTER_TYPES.test(parameter.type?.getText(source) ?? ""))
            follow(member.body, parameter.name.getText(source), []);
        }
      }
    }
    if (ts.isIdentifier(node) && !path.startsWith("os/kernel/") && BOUNDS.test(node.text))
      complain(node, `${node.text} belongs to the kernel's call path`);
    ts.forEachChild(node, visit);
  };
  visit(source);
  return complaints;
}

/** Guest sources below `os`, tests apart: those make bad pointers on purpose. */
function guestFiles(): string[] {
  const listed = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "os/*.ts"], {
    cwd: root,
  });
  return listed
    .toString()
    .split("\n")
    .filter((file) => file && !/^os\/tests\/|\.(test|asm|d)\.ts$/.test(file));
}

function main(): void {
  const files = guestFiles();
  let wrong = 0;
  for (const file of files) {
    if (KEEPERS.has(file)) continue;
    for (const { line, what } of argumentChecks(file, readFileSync(join(root, file), "utf8"))) {
      process.stderr.write(`${file}:${line}: ${what} (§5.1.1: services do not check pointers)\n`);
      wrong++;
    }
  }
  if (wrong > 0) process.exitCode = 1;
  else process.stdout.write(`arguments: ${files.length} files, no service checks a pointer\n`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
