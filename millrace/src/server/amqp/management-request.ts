/** Requests of management, out of bytes that anybody may have sent. */
import { PEEK_MESSAGES } from '../../core/queue-limits.ts';
import {
  MANAGEMENT_MOVE_MAX,
  type ManagementFailure,
  type ManagementOp,
  type ManagementRequest,
} from '../../wire/amqp/management.ts';

type Kind = 'text' | 'text?' | 'texts?' | 'moves?' | 'peeks?' | 'permissions';

/** What each request has beside `op`; `?`: may be left out. */
const FIELDS: Readonly<Record<ManagementOp, Readonly<Record<string, Kind>>>> = {
  queues: { vhost: 'text?' },
  queue: { name: 'text', vhost: 'text?' },
  exchanges: { vhost: 'text?' },
  bindings: { vhost: 'text?' },
  connections: {},
  move: { from: 'text', to: 'text', vhost: 'text?', limit: 'moves?' },
  redrive: { from: 'text', vhost: 'text?', limit: 'moves?' },
  peek: { name: 'text', vhost: 'text?', limit: 'peeks?' },
  purge: { name: 'text', vhost: 'text?' },
  users: {},
  'set-user': { name: 'text', password: 'text?', tags: 'texts?' },
  'delete-user': { name: 'text' },
  permissions: {},
  'set-permissions': { user: 'text', vhost: 'text?', permissions: 'permissions' },
  vhosts: {},
  'create-vhost': { name: 'text' },
  'delete-vhost': { name: 'text' },
};

export function readRequest(body: Buffer): ManagementRequest | ManagementFailure {
  let value: unknown;
  try {
    value = JSON.parse(body.toString('utf8'));
  } catch {
    return bad('a request is a JSON text');
  }
  if (!isObject(value)) return bad('a request is a JSON object');
  const { op } = value;
  if (typeof op !== 'string' || !Object.hasOwn(FIELDS, op))
    return bad(`op is one of ${Object.keys(FIELDS).join(', ')}`);
  const fields = FIELDS[op as ManagementOp];
  for (const name of Object.keys(value)) {
    if (name !== 'op' && !Object.hasOwn(fields, name))
      return bad(`a request '${op}' has no field '${name.slice(0, 100)}'`);
  }
  for (const [name, kind] of Object.entries(fields)) {
    const problem = problemOf(value[name], kind);
    if (problem !== undefined) return bad(`${name} of a request '${op}' is ${problem}`);
  }
  // Every field was looked at.
  return value as unknown as ManagementRequest;
}

/** What it should be, when it is not. */
function problemOf(value: unknown, kind: Kind): string | undefined {
  if (value === undefined && kind.endsWith('?')) return undefined;
  switch (kind) {
    case 'text':
    case 'text?':
      return typeof value === 'string' ? undefined : 'a text';
    case 'texts?':
      return isTexts(value) ? undefined : 'a list of texts';
    case 'moves?':
      return countProblem(value, MANAGEMENT_MOVE_MAX);
    case 'peeks?':
      return countProblem(value, PEEK_MESSAGES);
    case 'permissions':
      return value === null || isPermissions(value)
        ? undefined
        : 'null, or an object with the texts configure, write and read';
  }
}

function isTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every((each) => typeof each === 'string');
}

function countProblem(value: unknown, most: number): string | undefined {
  const isCount =
    typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= most;
  return isCount ? undefined : `a whole number from 1 to ${most}`;
}

function isPermissions(value: unknown): boolean {
  return (
    isObject(value) &&
    ['configure', 'write', 'read'].every((name) => typeof value[name] === 'string')
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function bad(message: string): ManagementFailure {
  return { ok: false, error: 'BAD_REQUEST', message };
}
