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

/** Said instead of an address where there is to be no AMQP. */
export const AMQP_OFF = 'off';

const ADDRESS = /^(?:\[(?<v6>[0-9a-fA-F:]+)\]|(?<name>[^\s:/@[\]]+))?(?::(?<port>\d{1,5}))?$/;
const URL_PARTS =
  /^amqp:\/\/(?:(?<user>[^:@/]*)(?::(?<password>[^@/]*))?@)?(?<at>[^/]*)(?:\/(?<vhost>[^/]*))?$/;

/**
 * `host:port`, `host`, `:port` on this machine, or `amqp://user:password@host:port/vhost` (RabbitMQ's URI specification: parts are
 * percent-encoded, a virtual host that is left out is `/`). IPv6 addresses in brackets.
 * @throws {MillraceError} ML_USAGE
 */
export function parseAmqpAddress(text: string, login: AmqpLogin = {}): AmqpAddress {
  if (text === AMQP_OFF)
    throw new MillraceError('ML_USAGE', 'AMQP is said to be off, so there is no queue to go to', {
      hint: `Say where queues are: --amqp ${DEFAULT_AMQP} counts more than MILLRACE_AMQP=off`,
    });
  if (text.startsWith('amqps:'))
    throw new MillraceError(
      'ML_USAGE',
      `'${withoutPassword(text)}' asks for TLS, which is not spoken`,
      {
        hint: 'Write amqp://…, in a network that you trust or through a tunnel',
      },
    );
  const parts = splitAmqpAddress(text);
  if (parts === undefined || parts.port === 0) {
    throw new MillraceError('ML_USAGE', `'${withoutPassword(text)}' is no address of AMQP`, {
      hint: `Write host:port, for example ${DEFAULT_AMQP}, or amqp://user:password@host:port/vhost`,
    });
  }
  return {
    host: parts.host,
    port: parts.port ?? AMQP_PORT,
    user: login.user ?? parts.user ?? 'guest',
    password: login.password ?? parts.password ?? 'guest',
    vhost: login.vhost ?? parts.vhost ?? '/',
  };
}

/** What an address says, and no more; undefined: it is none. */
export function splitAmqpAddress(
  text: string,
): (AmqpLogin & { readonly host: string; readonly port: number | undefined }) | undefined {
  const url = URL_PARTS.exec(text)?.groups;
  const at = ADDRESS.exec((url === undefined ? text : url['at']) ?? '')?.groups;
  const { v6, name, port } = at ?? {};
  if ((v6 ?? name ?? port) === undefined || Number(port ?? 0) > 65_535) return undefined;
  try {
    return {
      host: v6 ?? name ?? '127.0.0.1',
      port: port === undefined ? undefined : Number(port),
      user: decoded(url?.['user']),
      password: decoded(url?.['password']),
      vhost: decoded(url?.['vhost']),
    };
  } catch {
    return undefined;
  }
}

/** @throws {URIError} */
function decoded(part: string | undefined): string | undefined {
  return part === undefined || part === '' ? undefined : decodeURIComponent(part);
}

/** For messages. */
export function withoutPassword(address: string): string {
  return address.replace(/:(?!\/\/).*@/s, ':…@');
}
