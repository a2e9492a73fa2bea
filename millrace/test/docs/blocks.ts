/** The blocks of code in pages of Markdown. */
export interface Block {
  /** What stands behind the backticks: `ts`, `sh`, or nothing for what is printed. */
  readonly language: string;
  readonly code: string;
  /** Of its first line of code, from 1. */
  readonly line: number;
}

/** All blocks between lines of three backticks, in the order of the page. */
export function blocksOf(text: string): Block[] {
  return [...text.matchAll(/^```(\w*)\n(.*?)^```$/gms)].map((match) => ({
    language: match[1] ?? '',
    code: match[2] ?? '',
    line: text.slice(0, match.index).split('\n').length + 1,
  }));
}
