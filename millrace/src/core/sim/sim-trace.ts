/** What a simulated machine did, as one number: two runs from one seed must agree in it. */

const FNV_PRIME = 0x01000193;

export class SimTrace {
  /** Every entry, when asked for; otherwise empty. */
  readonly lines: string[] = [];
  /** Entries so far. */
  count = 0;
  private readonly keepsLines: boolean;
  private low = 0x811c9dc5;
  private high = 0x1b873593;

  constructor(keepsLines: boolean) {
    this.keepsLines = keepsLines;
  }

  add(line: string): void {
    this.count++;
    let { low, high } = this;
    for (let index = 0; index < line.length; index++) {
      const unit = line.charCodeAt(index);
      low = Math.imul(low ^ unit, FNV_PRIME);
      high = Math.imul(high ^ unit ^ (low >>> 15), 0x85ebca6b);
    }
    // Ends the entry, so that the border between two of them counts.
    this.low = Math.imul(low ^ 0x100, FNV_PRIME);
    this.high = Math.imul(high ^ (low >>> 16), 0xc2b2ae35);
    if (this.keepsLines) this.lines.push(line);
  }

  /** 16 hexadecimal digits. */
  hash(): string {
    return hex(this.high) + hex(this.low);
  }
}

function hex(value: number): string {
  return (value >>> 0).toString(16).padStart(8, '0');
}
