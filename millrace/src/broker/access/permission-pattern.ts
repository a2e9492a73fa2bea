/**
 * The patterns of permissions: regular expressions over the names of exchanges and queues.
 *
 * A pattern is found anywhere in a name, as RabbitMQ does: `^` and `$` say where it begins and ends. The empty pattern allows nothing but the
 * empty name, as `^$`.
 *
 * A name comes from whoever is to be kept out, and JavaScript's expressions can take time that is exponential in its length: patterns
 * that repeat what repeats, or that look back, are refused, and so are long ones; names have at most 255 bytes.
 */
import { PERMISSION_PATTERN_CHARACTERS_MAX } from '../../core/queue-limits.ts';

/** The expression, or why there is none. */
export function permissionPattern(
  pattern: string,
):
  | { readonly ok: true; readonly expression: RegExp }
  | { readonly ok: false; readonly fault: string } {
  if (pattern.length > PERMISSION_PATTERN_CHARACTERS_MAX)
    return fault(`a pattern has at most ${PERMISSION_PATTERN_CHARACTERS_MAX} characters`);
  const risk = riskOf(pattern);
  if (risk !== undefined) return fault(risk);
  try {
    return { ok: true, expression: new RegExp(pattern === '' ? '^$' : pattern, 'u') };
  } catch (error) {
    return fault(error instanceof Error ? error.message : String(error));
  }
}

const REPEATS = /^(?:[*+]|\{\d+(?:,\d*)?\})/;

/** Why an expression may take very long; undefined when it does not. */
function riskOf(pattern: string): string | undefined {
  /** For each group that is open: whether something in it repeats, or may be one thing or another. */
  const groups: boolean[] = [false];
  for (let at = 0; at < pattern.length; at++) {
    const char = pattern[at];
    if (char === '\\') {
      if (/[1-9k]/.test(pattern[at + 1] ?? '')) return 'a pattern cannot refer back';
      at++;
    } else if (char === '[') {
      at = endOfClass(pattern, at);
    } else if (char === '(') {
      groups.push(false);
    } else if (char === ')') {
      const varies = groups.pop() ?? false;
      if (varies && REPEATS.test(pattern.slice(at + 1)))
        return 'a pattern cannot repeat a group in which something repeats, or that has alternatives';
      markVarying(groups, varies);
    } else if (char === '|') {
      markVarying(groups, true);
    } else if (REPEATS.test(pattern.slice(at))) {
      markVarying(groups, true);
    }
  }
  return undefined;
}

function markVarying(groups: boolean[], varies: boolean): void {
  if (varies && groups.length > 0) groups[groups.length - 1] = true;
}

function endOfClass(pattern: string, start: number): number {
  for (let at = start + 1; at < pattern.length; at++) {
    if (pattern[at] === '\\') at++;
    else if (pattern[at] === ']') return at;
  }
  return pattern.length;
}

function fault(text: string): { readonly ok: false; readonly fault: string } {
  return { ok: false, fault: text };
}
