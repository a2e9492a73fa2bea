/** What somebody may have meant who has spelt a name wrongly. */

const EDITS_MAX = 4;
const NAME_CHARACTERS_MAX = 100;

/** The name that differs by the fewest edits, when they are few. */
export function nearestName(
  name: string,
  names: Iterable<string>,
  editsMax: number = EDITS_MAX,
): string | undefined {
  if (name.length > NAME_CHARACTERS_MAX) return undefined;
  let best: string | undefined;
  let bestEdits = editsMax + 1;
  for (const candidate of names) {
    const edits = editDistance(name, candidate);
    if (edits < bestEdits) {
      best = candidate;
      bestEdits = edits;
    }
  }
  return best;
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++)
      current.push(
        Math.min(
          (previous[column] ?? 0) + 1,
          (current[column - 1] ?? 0) + 1,
          (previous[column - 1] ?? 0) + (a[row - 1] === b[column - 1] ? 0 : 1),
        ),
      );
    previous = current;
  }
  return previous[b.length] ?? 0;
}
