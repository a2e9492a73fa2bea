/** What tells two plans apart: a hash over everything that decides their results, as far as it can be seen from outside. */
import { createHash } from 'node:crypto';
import { partsOf } from './functions.ts';
import type { Plan } from './plan.ts';

/**
 * SHA-256, in hex, of the canonical JSON of a plan. Functions count by their text: what they capture is not seen. Sources and sinks
 * count by what they are called and where they point to.
 */
export function fingerprintOf(plan: Omit<Plan, 'fingerprint' | 'counters'>): string {
  const { name, nodes, parameters, onError } = plan;
  return createHash('sha256').update(canonical({ name, nodes, parameters, onError })).digest('hex');
}

function canonical(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value);
    case 'number':
    case 'bigint':
    case 'boolean':
    case 'undefined':
    case 'symbol':
      return String(value);
    case 'function':
      return `fn ${JSON.stringify(Function.prototype.toString.call(value))} of ${canonical(partsOf(value))}`;
    case 'object':
      break;
  }
  if (value === null) return 'null';
  // Of serdes counts what they are called, be they of Millrace or of the program.
  if (isSerde(value)) return `serde ${JSON.stringify(value.name)}`;
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  const kept = isPort(value) ? outside(value) : (value as Readonly<Record<string, unknown>>);
  const members = Object.entries(kept).toSorted(([left], [right]) => (left < right ? -1 : 1));
  return `{${members.map(([key, member]) => `${JSON.stringify(key)}:${canonical(member)}`).join(',')}}`;
}

function isSerde(value: object): value is { readonly name: unknown } {
  return 'decode' in value && 'encode' in value && 'name' in value;
}

function isPort(value: object): boolean {
  return 'kind' in value && (value.kind === 'source' || value.kind === 'sink') && 'format' in value;
}

/** Of a source or sink: what it says of itself. All else belongs to Millrace, and may be anything. */
function outside(port: object): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(port).filter(([name]) => PORT_MEMBERS.has(name)));
}

const PORT_MEMBERS: ReadonlySet<string> = new Set([
  'kind',
  'format',
  'label',
  'paths',
  'columns',
  'target',
  'topic',
  'arrangement',
  'partBytes',
  'partitions',
]);
