/** A set of strings in the order of their characters, in sorted pieces: adding and deleting costs a search and the move of a piece. */

const PIECE_STRINGS_MAX = 512;

export class SortedStrings {
  private pieces: string[][] = [];
  /** Rises with every change: who walks looks for his place again. */
  private changes = 0;

  /** @param strings no two the same; in any order */
  constructor(strings: string[]) {
    strings.sort();
    const half = PIECE_STRINGS_MAX / 2;
    for (let at = 0; at < strings.length; at += half)
      this.pieces.push(strings.slice(at, at + half));
  }

  add(text: string): void {
    this.changes++;
    const at = Math.max(0, this.pieceOf(text));
    const piece = this.pieces[at];
    if (piece === undefined) {
      this.pieces.push([text]);
      return;
    }
    const index = lowerBound(piece, text);
    if (piece[index] === text) return;
    piece.splice(index, 0, text);
    if (piece.length > PIECE_STRINGS_MAX)
      this.pieces.splice(at + 1, 0, piece.splice(PIECE_STRINGS_MAX / 2));
  }

  delete(text: string): void {
    const at = this.pieceOf(text);
    const piece = this.pieces[at];
    if (piece === undefined) return;
    const index = lowerBound(piece, text);
    if (piece[index] !== text) return;
    this.changes++;
    if (piece.length === 1) this.pieces.splice(at, 1);
    else piece.splice(index, 1);
  }

  /** All from `from` on, which need not be there. `visit` may change the set; false ends it. */
  walk(from: string, visit: (text: string) => boolean | void): void {
    let at = Math.max(0, this.pieceOf(from));
    let piece = this.pieces[at];
    let index = piece === undefined ? 0 : lowerBound(piece, from);
    while (piece !== undefined) {
      const text = piece[index];
      if (text === undefined) {
        piece = this.pieces[++at];
        index = 0;
        continue;
      }
      const { changes } = this;
      if (visit(text) === false) return;
      index++;
      if (changes === this.changes) continue;
      at = Math.max(0, this.pieceOf(text));
      piece = this.pieces[at];
      if (piece === undefined) return;
      index = lowerBound(piece, text);
      if (piece[index] === text) index++;
    }
  }

  /** The last piece that begins at or before `text`; -1: none. */
  private pieceOf(text: string): number {
    let low = 0;
    let high = this.pieces.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.pieces[middle]?.[0] as string) <= text) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}

function lowerBound(piece: readonly string[], text: string): number {
  let low = 0;
  let high = piece.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((piece[middle] as string) < text) low = middle + 1;
    else high = middle;
  }
  return low;
}
