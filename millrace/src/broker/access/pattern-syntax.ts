/** The syntax of patterns of permissions: see `permission-pattern.ts`. */

export type Expression =
  | { readonly kind: 'take'; readonly takes: (character: string) => boolean }
  | { readonly kind: 'start' | 'end' }
  | { readonly kind: 'sequence' | 'alternatives'; readonly parts: readonly Expression[] }
  | {
      readonly kind: 'repeat';
      readonly part: Expression;
      readonly min: number;
      /** undefined: without limit. */
      readonly max: number | undefined;
    };

/** What is no pattern, or one that is not supported. */
export class PatternFault extends Error {}

type Takes = (character: string) => boolean;

const CLASSES: ReadonlyMap<string, Takes> = new Map<string, Takes>([
  ['d', (character) => /^[0-9]$/.test(character)],
  ['D', (character) => !/^[0-9]$/.test(character)],
  ['w', (character) => /^[A-Za-z0-9_]$/.test(character)],
  ['W', (character) => !/^[A-Za-z0-9_]$/.test(character)],
  ['s', (character) => /^\s$/.test(character)],
  ['S', (character) => !/^\s$/.test(character)],
]);

const CONTROLS: ReadonlyMap<string, string> = new Map([
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
]);

/** @throws {PatternFault} */
export function parsePattern(text: string): Expression {
  return new Parser(text).parse();
}

class Parser {
  private readonly characters: readonly string[];
  private at = 0;

  constructor(text: string) {
    this.characters = Array.from(text);
  }

  parse(): Expression {
    const expression = this.alternatives();
    if (this.peek() !== undefined) throw new PatternFault(`there is a ) without a (`);
    return expression;
  }

  private alternatives(): Expression {
    const parts = [this.sequence()];
    while (this.skip('|')) parts.push(this.sequence());
    return parts.length === 1 && parts[0] !== undefined
      ? parts[0]
      : { kind: 'alternatives', parts };
  }

  private sequence(): Expression {
    const parts: Expression[] = [];
    for (let next = this.peek(); next !== undefined && next !== '|' && next !== ')'; ) {
      parts.push(this.repeated(this.single()));
      next = this.peek();
    }
    return { kind: 'sequence', parts };
  }

  private repeated(part: Expression): Expression {
    let expression = part;
    for (let range = this.range(); range !== undefined; range = this.range()) {
      if (this.peek() === '+') throw new PatternFault('possessive repetition is not supported');
      // Lazy or not, it is found or it is not.
      this.skip('?');
      expression = { kind: 'repeat', part: expression, ...range };
    }
    return expression;
  }

  private range(): { readonly min: number; readonly max: number | undefined } | undefined {
    if (this.skip('*')) return { min: 0, max: undefined };
    if (this.skip('+')) return { min: 1, max: undefined };
    if (this.skip('?')) return { min: 0, max: 1 };
    const counted = /^\{(\d{1,5})(,?)(\d{0,5})\}/.exec(this.characters.slice(this.at).join(''));
    if (counted === null) return undefined;
    const [all, from = '', comma, to] = counted;
    this.at += all.length;
    const min = Number(from);
    if (comma === '') return { min, max: min };
    const max = to === undefined || to === '' ? undefined : Number(to);
    if (max !== undefined && max < min) throw new PatternFault(`${all} is no range`);
    return { min, max };
  }

  private single(): Expression {
    const character = this.next();
    switch (character) {
      case '^':
        return { kind: 'start' };
      case '$':
        return { kind: 'end' };
      case '.':
        return { kind: 'take', takes: (other) => other !== '\n' };
      case '[':
        return { kind: 'take', takes: this.set() };
      case '(':
        return this.group();
      case '\\':
        return { kind: 'take', takes: this.escaped() };
      case '*':
      case '+':
      case '?':
        throw new PatternFault(`there is nothing that ${character} could repeat`);
      default:
        return { kind: 'take', takes: (other) => other === character };
    }
  }

  private group(): Expression {
    if (this.skip('?') && !this.skip(':'))
      throw new PatternFault('of groups that begin with (? only (?: is supported');
    const expression = this.alternatives();
    if (!this.skip(')')) throw new PatternFault('there is a ( without a )');
    return expression;
  }

  private escaped(): Takes {
    const character = this.next();
    const takes = CLASSES.get(character);
    if (takes !== undefined) return takes;
    const control = CONTROLS.get(character) ?? character;
    if (control === character && /^[A-Za-z0-9]$/.test(character))
      throw new PatternFault(`\\${character} is not supported`);
    return (other) => other === control;
  }

  private set(): Takes {
    const isNot = this.skip('^');
    const tests: Takes[] = [];
    for (let isFirst = true; isFirst || this.peek() !== ']'; isFirst = false)
      tests.push(this.member());
    this.skip(']');
    return (character) => tests.some((takes) => takes(character)) !== isNot;
  }

  private member(): Takes {
    const from = this.next();
    if (from === '[' && this.peek() === ':')
      throw new PatternFault('named sets as [:alpha:] are not supported');
    if (from === '\\') return this.escaped();
    const [dash, to] = [this.peek(), this.characters[this.at + 1]];
    if (dash !== '-' || to === undefined || to === ']') return (character) => character === from;
    this.at += 2;
    const last = to === '\\' ? this.next() : to;
    if (order(last) < order(from)) throw new PatternFault(`${from}-${last} is no range`);
    return (character) => order(character) >= order(from) && order(character) <= order(last);
  }

  private peek(): string | undefined {
    return this.characters[this.at];
  }

  private next(): string {
    const character = this.characters[this.at++];
    if (character === undefined) throw new PatternFault('the pattern ends too early');
    return character;
  }

  private skip(character: string): boolean {
    if (this.peek() !== character) return false;
    this.at++;
    return true;
  }
}

function order(character: string): number {
  return character.codePointAt(0) ?? 0;
}
