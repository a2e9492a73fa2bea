/**
 * What `millrace start` was asked: the command line over the environment over the file, each name in one table. Pure: the caller
 * reads the file and hands over the environment.
 */
import {
  AMQP_OFF,
  DEFAULT_AMQP,
  splitAmqpAddress,
  withoutPassword,
} from '../client/amqp/amqp-address.ts';
import { addressText } from '../core/address-text.ts';
import { isSetting, parseSettings, type BrokerSettings } from '../broker/settings.ts';
import { MillraceError } from '../core/errors.ts';
import { AMQP_PORT } from '../core/queue-limits.ts';
import type { LogLevel } from '../core/log.ts';

/** What commander made of the command line. */
export interface StartFlags {
  readonly data?: string;
  readonly kafka?: string;
  readonly amqp?: string;
  readonly http?: string;
  readonly statsd?: string;
  readonly config?: string;
  readonly set?: readonly string[];
  readonly insecure?: boolean;
  readonly repair?: boolean;
  readonly logLevel?: string;
  readonly logFormat?: string;
}

export interface StartOptions {
  readonly data: string;
  readonly kafka: { readonly host: string; readonly port: number };
  /** undefined: off. `isDefault`: nobody has asked for it. */
  readonly amqp:
    | { readonly host: string; readonly port: number; readonly isDefault: boolean }
    | undefined;
  /** undefined: off. */
  readonly http:
    | { readonly host: string; readonly port: number; readonly origins: readonly string[] }
    | undefined;
  readonly statsd:
    | { readonly host: string; readonly port: number; readonly topic: string }
    | undefined;
  readonly insecure: boolean;
  /** Only by the command line: a decision for one start. */
  readonly repair: boolean;
  readonly logLevel: LogLevel;
  readonly logFormat: 'text' | 'json';
  readonly settings: BrokerSettings;
  /** Names in the environment that look like ours and mean nothing: worth a warning, as they may be a typing mistake. */
  readonly unknownEnvironment: readonly string[];
}

interface Sources {
  readonly flags: StartFlags;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Text of the config file and its name; undefined when there is none. */
  readonly file: { readonly name: string; readonly text: string } | undefined;
  readonly terminal: boolean;
}

export const DEFAULT_DATA = './millrace-data';
export const DEFAULT_KAFKA = '127.0.0.1:9092';
const OFF = 'off';
const PREFIX = 'MILLRACE_';
const OPTION_NAMES: ReadonlySet<string> = new Set([
  'data',
  'kafka',
  'amqp',
  'http',
  'http.origins',
  'statsd',
  'insecure',
  'log.level',
  'log.format',
]);
/** Environment variables of other commands and of the tests. */
const OTHER_ENVIRONMENT = /^MILLRACE_(?:CONFIG|BROKERS|SEED|FUZZ_.*|TEST_.*|SOAK_.*|BENCH_.*)$/;

/** @throws {MillraceError} ML_CONFIG_INVALID, naming what is wrong and where it was said */
export function resolveStart(sources: Sources): StartOptions {
  const { flags } = sources;
  const { values, unknown } = fromEnvironment(sources.environment);
  const merged = new Map([...fromFile(sources.file), ...values, ...fromSet(flags.set ?? [])]);
  const flagged: Readonly<Record<string, string | boolean | undefined>> = {
    data: flags.data,
    kafka: flags.kafka,
    amqp: flags.amqp,
    http: flags.http,
    statsd: flags.statsd,
    insecure: flags.insecure,
    'log.level': flags.logLevel,
    'log.format': flags.logFormat,
  };
  for (const [name, value] of Object.entries(flagged)) {
    if (value !== undefined) merged.set(name, String(value));
  }
  const settings = Object.fromEntries([...merged].filter(([name]) => !OPTION_NAMES.has(name)));
  return {
    data: merged.get('data') ?? DEFAULT_DATA,
    kafka: parseAddress(merged.get('kafka') ?? DEFAULT_KAFKA),
    amqp: amqpAddress(merged.get('amqp')),
    http: httpAddress(merged.get('http') ?? OFF, merged.get('http.origins') ?? ''),
    statsd: statsdAddress(merged.get('statsd') ?? OFF),
    repair: flags.repair === true,
    insecure: oneOf('insecure', merged.get('insecure') ?? 'false', ['true', 'false']) === 'true',
    logLevel: oneOf('log.level', merged.get('log.level') ?? 'info', [
      'debug',
      'info',
      'warn',
      'error',
    ]),
    logFormat: oneOf(
      'log.format',
      merged.get('log.format') ?? (sources.terminal ? 'text' : 'json'),
      ['text', 'json'],
    ),
    settings: parseSettings(settings),
    unknownEnvironment: unknown,
  };
}

/** The file that the options name, if any: the flag, else the environment. */
export function configFileOf(sources: Pick<Sources, 'flags' | 'environment'>): string | undefined {
  return sources.flags.config ?? sources.environment[`${PREFIX}CONFIG`];
}

function fromSet(assignments: readonly string[]): Map<string, string> {
  const values = new Map<string, string>();
  for (const text of assignments) {
    const at = text.indexOf('=');
    if (at <= 0)
      throw invalid(
        `--set takes name=value, not '${text}'`,
        'Write for example --set num.partitions=8',
      );
    values.set(text.slice(0, at).trim(), text.slice(at + 1).trim());
  }
  return values;
}

function fromFile(file: Sources['file']): Map<string, string> {
  const values = new Map<string, string>();
  if (file === undefined) return values;
  for (const [index, raw] of file.text.split(/\r?\n/).entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    const at = line.indexOf('=');
    if (at <= 0) {
      throw invalid(
        `${file.name}:${index + 1} is not 'name = value'`,
        "Comments begin with '#'; there are no sections",
      );
    }
    const name = line.slice(0, at).trim();
    if (!OPTION_NAMES.has(name) && !isSetting(name)) {
      throw invalid(
        `${file.name}:${index + 1}: there is no setting '${name}'`,
        'docs/reference/settings.md lists the settings',
      );
    }
    values.set(name, line.slice(at + 1).trim());
  }
  return values;
}

function fromEnvironment(environment: Sources['environment']): {
  readonly values: Map<string, string>;
  readonly unknown: string[];
} {
  const values = new Map<string, string>();
  const unknown: string[] = [];
  for (const [variable, value] of Object.entries(environment)) {
    if (value === undefined || !variable.startsWith(PREFIX) || OTHER_ENVIRONMENT.test(variable))
      continue;
    const name = variable.slice(PREFIX.length).toLowerCase().replaceAll('_', '.');
    const known = [name, `millrace.${name}`].find(
      (each) => OPTION_NAMES.has(each) || isSetting(each),
    );
    if (known === undefined) unknown.push(variable);
    else values.set(known, value);
  }
  return { values, unknown };
}

/**
 * As the commands are told where the broker is, in the same variable: `host:port` or `amqp://host:port`. Not who connects, and to which
 * virtual host: a broker that took that would seem to let in nobody else.
 */
function amqpAddress(text: string | undefined): StartOptions['amqp'] {
  if (text === AMQP_OFF) return undefined;
  const said = text ?? DEFAULT_AMQP;
  const parts = splitAmqpAddress(said);
  const { host, port = said.startsWith('amqp:') ? AMQP_PORT : undefined } = parts ?? {};
  if (host === undefined || port === undefined)
    throw invalid(
      `'${withoutPassword(said)}' is not host:port`,
      `Write for example --amqp ${DEFAULT_AMQP}, or --amqp off`,
    );
  if ((parts?.user ?? parts?.password ?? parts?.vhost) !== undefined)
    throw invalid(
      `the AMQP address '${withoutPassword(said)}' says who connects, and not only where a broker listens`,
      `Say --amqp ${addressText({ host, port })}: it counts more than MILLRACE_AMQP, which commands may go on using; \`millrace user set\` makes users`,
    );
  return { host, port, isDefault: text === undefined };
}

/** `host:port`, `[::1]:port`, or `:port` for loopback. */
export function parseAddress(text: string): { readonly host: string; readonly port: number } {
  const address = addressOf(text);
  if (address !== undefined) return address;
  throw invalid(`'${text}' is not host:port`, `Write for example --kafka ${DEFAULT_KAFKA}`);
}

/** undefined: it is none. */
function addressOf(text: string): { readonly host: string; readonly port: number } | undefined {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([^\s:]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3] ?? -1);
  if (match === null || port > 65_535) return undefined;
  const host = match[1] ?? match[2] ?? '';
  return { host: host === '' ? '127.0.0.1' : host, port };
}

function httpAddress(text: string, origins: string): StartOptions['http'] {
  if (text === OFF) return undefined;
  const address = addressOf(/^\d+$/.test(text) ? `:${text}` : text);
  if (address === undefined)
    throw invalid(
      `'${text}' is not [host:]port`,
      'Write for example --http 8080, or --http 127.0.0.1:8080',
    );
  return { ...address, origins: origins.split(/[\s,]+/).filter((each) => each !== '') };
}

function statsdAddress(text: string): StartOptions['statsd'] {
  if (text === OFF) return undefined;
  const slash = text.indexOf('/');
  const address = slash < 0 ? undefined : addressOf(text.slice(0, slash));
  const topic = text.slice(slash + 1);
  if (address === undefined || topic === '')
    throw invalid(
      `'${text}' is not host:port/topic`,
      'Write for example --statsd 127.0.0.1:8125/metrics',
    );
  return { ...address, topic };
}

function oneOf<Value extends string>(name: string, text: string, allowed: readonly Value[]): Value {
  const found = allowed.find((value) => value === text);
  if (found === undefined)
    throw invalid(`${name} cannot be '${text}'`, `Allowed is ${allowed.join(', ')}`);
  return found;
}

function invalid(message: string, hint: string): MillraceError {
  return new MillraceError('ML_CONFIG_INVALID', message, { hint });
}
