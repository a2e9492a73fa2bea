/**
 * Where a text stops being JSON. Only asked after JSON.parse has refused it, because V8 says so in some of its messages only.
 * Source: RFC 8259.
 */

export interface JsonFault {
  /** Of the first character that cannot be there; the length of the text when it ends too early. */
  readonly index: number;
  readonly what: string;
}

/** Values inside each other that are followed. V8's own limit is its stack. */
const DEPTH_MAX = 10_000;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const WORD = /true|false|null/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[\da-fA-F]{4})/y;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const BLANK = 0x20;
const BLANKS = /[ \t\n\r]*/y;

/** undefined when `text` is JSON. */
export function findJsonFault(text: string): JsonFault | undefined {
  const scanner = new Scanner(text);
  const isValid = scanner.scan();
  if (isValid) return undefined;
  const { at } = scanner;
  if (at >= text.length) return { index: text.length, what: 'it ends in the middle of a value' };
  return { index: at, what: `unexpected ${JSON.stringify(text.charAt(at))}` };
}

class Scanner {
  at = 0;
  private readonly text: string;
  /** Closing brackets of the arrays and objects that are open. */
  private readonly open: string[] = [];

  constructor(text: string) {
    this.text = text;
  }

  /** Goes on to the fault, or to the end. */
  scan(): boolean {
    let isValueNext = true;
    for (;;) {
      this.skip(BLANKS);
      if (isValueNext) {
        const opened = this.value();
        if (opened === 'fault') return false;
        isValueNext = opened === 'opened';
        continue;
      }
      const close = this.open.at(-1);
      if (close === undefined) return this.at === this.text.length;
      const letter = this.text[this.at];
      if (letter === close) {
        this.at++;
        this.open.pop();
      } else if (letter === ',') {
        this.at++;
        if (close === '}' && !this.memberName()) return false;
        isValueNext = true;
      } else return false;
    }
  }

  /** A value, or the beginning of one: `opened` when a value inside it comes next. */
  private value(): 'done' | 'opened' | 'fault' {
    const letter = this.text[this.at];
    if (letter === '"') return this.string() ? 'done' : 'fault';
    if (letter === '[' || letter === '{') return this.openValue(letter);
    return this.skip(NUMBER) > 0 || this.skip(WORD) > 0 ? 'done' : 'fault';
  }

  private openValue(letter: '[' | '{'): 'done' | 'opened' | 'fault' {
    if (this.open.length === DEPTH_MAX) return 'fault';
    const close = letter === '[' ? ']' : '}';
    this.at++;
    this.skip(BLANKS);
    if (this.text[this.at] === close) {
      this.at++;
      return 'done';
    }
    this.open.push(close);
    return letter === '[' || this.memberName() ? 'opened' : 'fault';
  }

  /** `"name" :` */
  private memberName(): boolean {
    this.skip(BLANKS);
    if (this.text[this.at] !== '"' || !this.string()) return false;
    this.skip(BLANKS);
    if (this.text[this.at] !== ':') return false;
    this.at++;
    return true;
  }

  /** A loop, and not one expression: strings may be longer than what expressions can go back over. */
  private string(): boolean {
    for (this.at++; this.at < this.text.length; ) {
      const code = this.text.charCodeAt(this.at);
      if (code === QUOTE) {
        this.at++;
        return true;
      }
      if (code < BLANK || (code === BACKSLASH && this.skip(ESCAPE) === 0)) return false;
      if (code !== BACKSLASH) this.at++;
    }
    return false;
  }

  private skip(expression: RegExp): number {
    expression.lastIndex = this.at;
    const length = expression.exec(this.text)?.[0].length ?? 0;
    this.at += length;
    return length;
  }
}
