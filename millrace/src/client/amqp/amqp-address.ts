/** Where a broker of AMQP is, and who wants to come in, as people write it. */
import { MillraceError } from '../../core/errors.ts';
import { AMQP_PORT } from '../../core/queue-limits.ts';

export interface AmqpAddress {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly vhost: string;
}

/** What is said beside the address; it counts more than what a URL says. */
export interface AmqpLogin {
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  readonly vhost?: string | undefined;
}

export const DEFAULT_AMQP = `127.0.0.1:${AMQP_PORT}`;

const ADDRESS = /^(?:\[(?<v6>[0-9a-fA-F:]+)\]|(?<name>[^\s:/@[\]]+))(?::(?<port>\d{1,5}))?$/;
const URL_PARTS =
  /^amqp:\/\/(?:(?<user>[^:@/]*)(?::(?<password>[^@/]*))?@)?(?<at>[^/]*)(?:\/(?<vhost>[^/]*))?$/;

/**
 * `host:port`, `host`, or `amqp://user:password@host:port/vhost` (RabbitMQ's URI specification: parts are percent-encoded, a virtual host
 * that is left out is `/`). IPv6 addresses in brackets.
 * @throws {MillraceError} ML_USAGE
 */
export function parseAmqpAddress(text: string, login: AmqpLogin = {}): AmqpAddress {
  if (text.startsWith('amqps:'))
    throw new MillraceError('ML_USAGE', `'${hidden(text)}' asks for TLS, which is not spoken`, {
      hint: 'Write amqp://…, in a network that you trust or through a tunnel',
    });
  const url = URL_PARTS.exec(text)?.groups;
  const at = ADDRESS.exec((url === undefined ? text : url['at']) ?? '')?.groups;
  const host = at?.['v6'] ?? at?.['name'];
  const port = Number(at?.['port'] ?? AMQP_PORT);
  if (host === undefined || port < 1 || port > 65_535) throw noAddress(text);
  return {
    host,
    port,
    user: login.user ?? decoded(url?.['user'], text) ?? 'guest',
    password: login.password ?? decoded(url?.['password'], text) ?? 'guest',
    vhost: login.vhost ?? decoded(url?.['vhost'], text) ?? '/',
  };
}

function decoded(part: string | undefined, text: string): string | undefined {
  if (part === undefined || part === '') return undefined;
  try {
    return decodeURIComponent(part);
  } catch {
    throw noAddress(text);
  }
}

function noAddress(text: string): MillraceError {
  return new MillraceError('ML_USAGE', `'${hidden(text)}' is no address of AMQP`, {
    hint: `Write host:port, for example ${DEFAULT_AMQP}, or amqp://user:password@host:port/vhost`,
  });
}

/** Without the password. */
function hidden(text: string): string {
  return text.replace(/:[^:@/]*@/, ':…@');
}
