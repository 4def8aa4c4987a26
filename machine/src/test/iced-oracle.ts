/**
 * iced-x86 as a second opinion on what bytes mean, for tests. Both disassemblies are reduced to what is not taste:
 * implied operands are dropped, and size words, which iced leaves out where a register tells the size.
 */
import { Decoder, DecoderOptions, Formatter, FormatterSyntax, MemorySizeOptions } from "iced-x86";
import { disassemble } from "../i386/disassembler.ts";

const formatter = new Formatter(FormatterSyntax.Intel);
formatter.hexPrefix = "0x";
formatter.hexSuffix = "";
formatter.uppercaseHex = false;
formatter.addLeadingZeroToHexNumbers = false;
formatter.branchLeadingZeros = false;
formatter.spaceAfterOperandSeparator = true;
formatter.memorySizeOptions = MemorySizeOptions.Always;
formatter.showBranchSize = false;
formatter.usePseudoOps = false;

/** iced's names for the 16-bit forms of instructions that have no operand to tell the size. */
const narrowNames: Readonly<Record<string, string>> = {
  ...{ pusha: "pushaw", popa: "popaw", pushf: "pushfw", popf: "popfw", iret: "iretw" },
};

/** Prefixes that say nothing about the instruction at hand, or that the operands show. */
const idlePrefixes =
  /^(?:(?:data16|addr16|[c-gs]s|xacquire|xrelease|bnd|notrack|hint-taken|hint-not-taken) )+/;

function plain(text: string): string {
  let result = text.replace(idlePrefixes, "").replace(/^(lock )(?:xacquire |xrelease )/, "$1");
  // What a repeat prefix means is compared for string instructions only.
  result = result.replace(/^(?:rep|repe|repne) (?!(?:ins|movs|outs|lods|stos|cmps|scas)[bwd]\b)/, "");
  const string = /^((?:rep\w* )?(?:ins|movs|outs|lods|stos|cmps|scas)[bwd])\b/.exec(result);
  if (string) {
    const addresses = [...result.matchAll(/(\wS:)?\[(e?[sd]i)\]/gi)].map(([, , register]) => register);
    return `${string[1]} ${addresses.join()}`;
  }
  return result
    .replace(/^(pusha|popa|pushf|popf|iret)$/, (name) => narrowNames[name]!)
    .replace(/^ret far/, "retf")
    .replace(/^(jmp|call) far (0x\w+|\d), (0x\w+|\d)$/, "$1 far $3:$2")
    .replace(/^fstpnce\b/, "fstp")
    .replace(/^pause$|^xchg ax, ax$/, "nop")
    .replace(/^xlatb?\b/, "xlatb")
    .replace(/\b\w+ ptr /g, "")
    .replace(/^(f\w+) st, (?=\[|[c-gs]s:)/, "$1 ")
    .replace(/^(f\w+ .*\]), st$/, "$1")
    .replace(/^(fld|fcomp?|fucomp?|fxch) st, (st\(\d\))$/, "$1 $2")
    .replace(/^(fstp?) (st\(\d\)), st$/, "$1 $2")
    .replace(/^(l[as][rl] \w+, )(e?)(\w\w)$/, "$1$3")
    .trim();
}

export interface Comparison {
  readonly ours: string;
  readonly iced: string;
  readonly ourLength: number;
  readonly icedLength: number;
}

/** The instruction that `bytes` start with, according to both. */
export function compareWithIced(bytes: Uint8Array, address = 0x1000): Comparison {
  const ours = disassemble(bytes, 0, address);
  const decoder = new Decoder(32, bytes, DecoderOptions.Loadall286 | DecoderOptions.OldFpu);
  decoder.ip = BigInt(address);
  const instruction = decoder.decode();
  const iced = formatter.format(instruction);
  const icedLength = instruction.length;
  instruction.free();
  decoder.free();
  return { ours: plain(ours.text), iced: plain(iced), ourLength: ours.length, icedLength };
}
