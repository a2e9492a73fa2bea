/**
 * Finds the fields of one CSV row in a text. Source: RFC 4180, with any separator and quote, LF or CRLF, and nothing forgiven: a quote
 * inside a field that does not begin with one, and text behind a closing quote, are faults.
 *
 * @hot Nothing is allocated for a row without doubled quotes.
 */
import { lineEnd } from './block-reader.ts';

export interface CsvDialect {
  readonly separator: string;
  /** '' = none. */
  readonly quote: string;
}

export class CsvRow {
  /** Start and end of each field, without its quotes. */
  bounds: Int32Array = new Int32Array(64);
  /** Fields of the row. */
  count = 0;
  /** Fields with doubled quotes in them. */
  readonly doubled: number[] = [];
  /** Where the next row begins. */
  next = 0;
  /** What is wrong with the row, and at which character: `next` is then not set. */
  fault: string | undefined;
  faultAt = 0;
  private limit = 0;
  private readonly separator: string;
  private readonly quote: string;
  private readonly quoteCode: number;
  private readonly separatorCode: number;

  constructor({ separator, quote }: CsvDialect) {
    this.separator = separator;
    this.quote = quote;
    this.separatorCode = separator.charCodeAt(0);
    this.quoteCode = quote === '' ? -1 : quote.charCodeAt(0);
  }

  /** A row [at, end) that has no quotes: `end` is the place of its LF, or the end of the text. */
  findPlain(text: string, at: number, end: number): void {
    const { separator } = this;
    let { bounds } = this;
    const stop = lineEnd(text, at, end);
    this.doubled.length = 0;
    this.fault = undefined;
    this.next = end + 1;
    let index = 0;
    for (let start = at; ; ) {
      const found = text.indexOf(separator, start);
      const fieldEnd = found < 0 || found > stop ? stop : found;
      if (index === bounds.length) bounds = this.grow();
      bounds[index] = start;
      bounds[index + 1] = fieldEnd;
      index += 2;
      if (fieldEnd === stop) break;
      start = fieldEnd + 1;
    }
    this.count = index >> 1;
  }

  /** The row that begins at `at`; its quoted fields end before `limit`, or never. */
  findQuoted(text: string, at: number, limit: number = text.length): void {
    this.limit = limit;
    this.count = 0;
    this.doubled.length = 0;
    this.fault = undefined;
    for (let start = at; start >= 0; )
      start =
        text.charCodeAt(start) === this.quoteCode
          ? this.quotedField(text, start)
          : this.plainField(text, start);
  }

  /** The text of a field. */
  field(text: string, index: number): string {
    const raw = text.substring(this.bounds[2 * index] ?? 0, this.bounds[2 * index + 1] ?? 0);
    if (!this.doubled.includes(index)) return raw;
    return raw.replaceAll(this.quote + this.quote, this.quote);
  }

  /** Takes the field, and returns where the next one begins; -1 at the end of the row. */
  private plainField(text: string, start: number): number {
    const { length } = text;
    const lf = text.indexOf('\n', start);
    const rowEnd = lf < 0 ? length : lf;
    const found = text.indexOf(this.separator, start);
    const isLast = found < 0 || found > rowEnd;
    const end = isLast ? lineEnd(text, start, rowEnd) : found;
    const quoteAt = text.indexOf(this.quote, start);
    if (quoteAt >= 0 && quoteAt < end)
      return this.fail('a quote inside a field that does not begin with one', quoteAt);
    this.add(start, end);
    if (!isLast) return end + 1;
    this.next = rowEnd + 1;
    return -1;
  }

  private quotedField(text: string, start: number): number {
    const { quote, quoteCode } = this;
    let close = text.indexOf(quote, start + 1);
    let isDoubled = false;
    while (close >= 0 && text.charCodeAt(close + 1) === quoteCode) {
      isDoubled = true;
      close = text.indexOf(quote, close + 2);
    }
    if (close < 0 || close >= this.limit) return this.fail('a quote that is never closed', start);
    if (isDoubled) this.doubled.push(this.count);
    this.add(start + 1, close);
    const behind = close + 1;
    if (text.charCodeAt(behind) === this.separatorCode) return behind + 1;
    const lf = text.startsWith('\r', behind) ? behind + 1 : behind;
    if (lf < text.length && text.charCodeAt(lf) !== LF)
      return this.fail('text behind a closing quote', behind);
    this.next = lf + 1;
    return -1;
  }

  private add(start: number, end: number): void {
    const index = this.count * 2;
    const bounds = index === this.bounds.length ? this.grow() : this.bounds;
    bounds[index] = start;
    bounds[index + 1] = end;
    this.count++;
  }

  private fail(what: string, at: number): number {
    this.fault = what;
    this.faultAt = at;
    return -1;
  }

  private grow(): Int32Array {
    const grown = new Int32Array(this.bounds.length * 2);
    grown.set(this.bounds);
    this.bounds = grown;
    return grown;
  }
}

/** Where the row that begins at `at` ends, whatever is wrong inside it: behind the first LF with an even number of quotes before it. */
export function csvRowEnd(text: string, at: number, quote: string): number {
  let isInside = false;
  for (let index = at; index < text.length; index++) {
    const letter = text[index];
    if (letter === quote) isInside = !isInside;
    else if (letter === '\n' && !isInside) return index + 1;
  }
  return text.length;
}

const LF = 10;
