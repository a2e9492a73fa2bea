/**
 * Class 10, connection, until it is open: start, login, tune, open.
 *
 *   start → start-ok → tune → tune-ok, open → open-ok
 *
 * As RabbitMQ 4: what the client wants of frame_max and channel_max must lie within what was offered; frames of 4,096 bytes are enough
 * (RabbitMQ since 4.1: 8,192, which older clients do not offer). A login that fails is told (ACCESS_REFUSED, 403) after a while to clients
 * with the capability `authentication_failure_close`, others are closed then without a word. `guest` comes from this machine alone.
 */
import type { Timer } from '../../core/env.ts';
import { AMQP_FRAME_BYTES_MIN, AMQP_REFUSAL_DELAY_MS } from '../../core/queue-limits.ts';
import type { Grant, User } from '../../broker/access/access.ts';
import type { VirtualHost } from '../../broker/exchanges/virtual-host.ts';
import type { FieldTable } from '../../wire/amqp/field-table.ts';
import type { AmqpMethod, MethodInput, MethodOf } from '../../wire/amqp/methods.ts';
import { AmqpFault } from '../../wire/amqp/reply-codes.ts';
import { type Credentials, MECHANISMS, readCredentials } from './login.ts';
import { serverProperties } from './server-properties.ts';
import type { AmqpShared } from './session.ts';

export type ConnectionOrigin = 'process' | 'machine' | 'elsewhere';

/** What was agreed upon. */
export interface OpenedConnection {
  readonly user: User;
  readonly grant: Grant;
  readonly vhost: VirtualHost;
  /** What the client calls itself, or ''. */
  readonly name: string;
  readonly channelMax: number;
  /** 0: none. */
  readonly heartbeatMs: number;
  readonly wantsCancels: boolean;
  readonly wantsBlocked: boolean;
}

export interface HandshakeOptions {
  readonly shared: AmqpShared;
  /** Where it comes from. In this process: a password would keep nothing from whoever is there, and none is looked at. */
  readonly origin: ConnectionOrigin;
  readonly send: (method: MethodInput) => void;
  readonly setFrameMax: (bytes: number) => void;
  readonly onOpen: (opened: OpenedConnection) => void;
  /** Of what takes time, or is told without a method. */
  readonly onFault: (fault: AmqpFault) => void;
  /** The client may not log in, and is not told so. A while after that is known. */
  readonly onSilentRefusal: () => void;
}

type Phase = 'starting' | 'securing' | 'tuning' | 'opening' | 'running';

const GUEST = 'guest';
/** Of a name that somebody claims, in the log. */
const LOGGED_CHARACTERS = 100;

export class Handshake {
  private readonly options: HandshakeOptions;
  private phase: Phase = 'starting';
  private capabilities: FieldTable = {};
  private name = '';
  private user: User | undefined;
  private channelMax = 0;
  private heartbeatMs = 0;
  private refusal: Timer | undefined;
  private isGone = false;

  constructor(options: HandshakeOptions) {
    this.options = options;
  }

  /** The client speaks the protocol. */
  start(): void {
    this.options.send({
      name: 'connection.start',
      versionMajor: 0,
      versionMinor: 9,
      serverProperties: serverProperties(this.options.shared.settings),
      mechanisms: MECHANISMS,
      locales: 'en_US',
    });
  }

  /** @throws {AmqpFault} */
  method(method: AmqpMethod): void {
    const { phase } = this;
    if (method.name === 'connection.start-ok' && phase === 'starting') this.startOk(method);
    else if (method.name === 'connection.tune-ok' && phase === 'tuning') this.tuneOk(method);
    else if (method.name === 'connection.open' && phase === 'opening') this.openVhost(method);
    else throw new AmqpFault('CHANNEL_ERROR', `unexpected method in connection state ${phase}`);
  }

  /** It is about to end: the client may not log in. */
  get isRefused(): boolean {
    return this.refusal !== undefined;
  }

  /** The client has gone. */
  stop(): void {
    this.isGone = true;
    this.refusal?.cancel();
  }

  private startOk(method: MethodOf<'connection.start-ok'>): void {
    const { clientProperties, mechanism, response } = method;
    const { capabilities, connection_name: name } = clientProperties;
    if (isTable(capabilities)) this.capabilities = capabilities;
    if (typeof name === 'string') this.name = name;
    this.phase = 'securing';
    const credentials = readCredentials(mechanism, response);
    this.options.shared.background.run('login', this.logIn(mechanism, credentials));
  }

  private async logIn(mechanism: string, credentials: Credentials | undefined): Promise<void> {
    const user = credentials === undefined ? undefined : await this.userOf(credentials);
    if (this.isGone) return;
    if (user === undefined) this.refuse(mechanism, credentials?.user ?? '');
    else this.tune(user);
  }

  private async userOf({ user, password }: Credentials): Promise<User | undefined> {
    const { origin, shared } = this.options;
    const { access } = shared;
    if (origin === 'process') return access.users().find(({ name }) => name === user);
    if (origin === 'elsewhere' && user === GUEST) return undefined;
    return access.authenticate(user, password, () => !this.isGone);
  }

  private tune(user: User): void {
    const { settings } = this.options.shared;
    this.user = user;
    this.phase = 'tuning';
    this.options.send({
      name: 'connection.tune',
      channelMax: settings.amqpChannelMax,
      frameMax: settings.amqpFrameMaxBytes,
      heartbeat: settings.amqpHeartbeatSeconds,
    });
  }

  private refuse(mechanism: string, user: string): void {
    const { shared, onFault, onSilentRefusal } = this.options;
    shared.faults.log('a login was refused', { user: user.slice(0, LOGGED_CHARACTERS), mechanism });
    // Guessing takes time.
    this.refusal = shared.env.timers.after(AMQP_REFUSAL_DELAY_MS, () => {
      if (this.can('authentication_failure_close'))
        onFault(
          new AmqpFault(
            'ACCESS_REFUSED',
            `Login was refused using authentication mechanism ${mechanism}. For details see the broker logfile.`,
            { isHard: true },
          ),
        );
      else onSilentRefusal();
    });
  }

  private tuneOk(method: MethodOf<'connection.tune-ok'>): void {
    const { settings } = this.options.shared;
    const { frameMax, channelMax, heartbeat } = method;
    const { amqpFrameMaxBytes, amqpChannelMax } = settings;
    agreed('frame_max', frameMax, { least: AMQP_FRAME_BYTES_MIN, most: amqpFrameMaxBytes });
    agreed('channel_max', channelMax, { least: 1, most: amqpChannelMax });
    this.channelMax = channelMax;
    this.heartbeatMs = heartbeat * 1_000;
    this.options.setFrameMax(frameMax);
    this.phase = 'opening';
  }

  private openVhost(method: MethodOf<'connection.open'>): void {
    const { shared, send, onOpen } = this.options;
    const { user, name, channelMax, heartbeatMs } = this;
    const vhost = shared.vhosts.get(method.virtualHost);
    if (vhost === undefined)
      throw new AmqpFault('NOT_ALLOWED', `vhost ${method.virtualHost} not found`);
    const grant = user === undefined ? undefined : shared.access.grant(user, vhost.name);
    if (user === undefined || grant === undefined)
      throw new AmqpFault(
        'NOT_ALLOWED',
        `access to vhost '${vhost.name}' refused for user '${user?.name}'`,
      );
    this.phase = 'running';
    send({ name: 'connection.open-ok' });
    onOpen({
      user,
      grant,
      vhost,
      name,
      channelMax,
      heartbeatMs,
      wantsCancels: this.can('consumer_cancel_notify'),
      wantsBlocked: this.can('connection.blocked'),
    });
  }

  private can(capability: string): boolean {
    return this.capabilities[capability] === true;
  }
}

/** @throws {AmqpFault} NOT_ALLOWED */
function agreed(
  what: 'frame_max' | 'channel_max',
  value: number,
  { least, most }: { readonly least: number; readonly most: number },
): void {
  if (value >= least && value <= most) return;
  const shown = value === 0 ? '0 (no limit)' : String(value);
  const [relation, bound] =
    value === 0 || value > most
      ? ['higher', `maximum allowed value (${most})`]
      : ['lower', `minimum allowed value (${least})`];
  throw new AmqpFault(
    'NOT_ALLOWED',
    `negotiated ${what} = ${shown} is ${relation} than the ${bound}`,
  );
}

function isTable(value: unknown): value is FieldTable {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof Uint8Array)
  );
}
