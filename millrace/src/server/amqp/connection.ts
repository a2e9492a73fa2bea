/**
 * One connection of an AMQP client: handshake, channels, pressure, end.
 *
 *   header → handshake → running → closing → closed
 *
 * Invariants
 * - Everything that a client gets wrong ends its channel or its connection with a code and the ids of the method, never anything else.
 * - It reads no more while too much is on its way to the disk, waits behind slow methods, or is owed to a client that does not take it, or
 *   the disk is full and it publishes; its consumers go on meanwhile.
 * - When it is gone its messages are back in their queues and its exclusive queues are deleted.
 *
 * @hot data
 */
import type { Connection, Timer } from '../../core/env.ts';
import { AMQP_CLOSE_MS, AMQP_WAITING_BYTES_MAX } from '../../core/queue-limits.ts';
import { FrameAssembler } from '../../wire/amqp/frame-assembler.ts';
import { type Content, type FrameHandler, PROTOCOL_HEADER } from '../../wire/amqp/frames.ts';
import type { ConnectionInfo } from '../../wire/amqp/management.ts';
import type { AmqpMethod, ContentMethod } from '../../wire/amqp/methods.ts';
import { AmqpFault } from '../../wire/amqp/reply-codes.ts';
import { Channel } from './channel.ts';
import { type ConnectionOrigin, Handshake, type OpenedConnection } from './handshake.ts';
import { lasting } from './lasting-content.ts';
import { Output } from './output.ts';
import { PROTOCOL_HEADER_BYTES, readProtocolHeader } from './protocol-header.ts';
import { Publisher } from './publisher.ts';
import type { AmqpSession, AmqpShared } from './session.ts';

export interface AmqpConnectionOptions {
  readonly connection: Connection;
  readonly shared: AmqpShared;
  /** For people: `address:port`. */
  readonly peer: string;
  readonly origin: ConnectionOrigin;
  readonly isDiskFull: () => boolean;
  /** The connection ends because of what the client did; with an error, because of us. */
  readonly onFault: (reason: string, error?: unknown) => void;
  /** Messages were refused. */
  readonly onDiskFull: () => void;
  /** It is gone, with everything that belonged to it. */
  readonly onClosed: () => void;
}

/**
 * `leaving`: the client closes it, and what it has said before is not done yet. `closing`: connection.close was sent, its answer has not
 * come. `ending`: nothing that comes is looked at.
 */
type Phase = 'header' | 'handshake' | 'running' | 'leaving' | 'closing' | 'ending' | 'closed';

const DISK_FULL = 'low on disk';
/** What is logged as the reason of an end that is none of the client's faults. */
const NO_FAULT = new Set(['CONNECTION_FORCED']);

export class AmqpConnection implements FrameHandler {
  private readonly options: AmqpConnectionOptions;
  private readonly connection: Connection;
  private readonly output: Output;
  private readonly assembler: FrameAssembler;
  private readonly handshake: Handshake;
  private readonly channels = new Map<number, Channel>();
  private readonly sinceMs: number;
  private readonly startedMs: number;
  private phase: Phase = 'header';
  private header: Buffer = Buffer.alloc(0);
  private opened: OpenedConnection | undefined;
  private session: AmqpSession | undefined;
  private publisher: Publisher | undefined;
  /** What is being read. */
  private chunk: Buffer | undefined;
  private waitingBytes = 0;
  private isBlocked = false;
  private isPaused = false;
  /** Others have their turn before more is read. */
  private isYielding = false;
  private receivedMs: number;
  private sentMs: number;
  private closeTimer: Timer | undefined;
  private gone: Promise<void> | undefined;

  constructor(options: AmqpConnectionOptions) {
    const { connection, shared } = options;
    const { timers, clock } = shared.env;
    this.options = options;
    this.connection = connection;
    this.sinceMs = clock.nowMs();
    this.startedMs = clock.monotonicMs();
    this.receivedMs = this.startedMs;
    this.sentMs = this.startedMs;
    this.output = new Output({
      connection,
      timers,
      onFlush: () => this.publisher?.tellConfirms(),
      onSent: () => this.updatePause(),
      onRoom: () => this.resumeConsumers(),
      onUntold: (error) => this.closeWith(new AmqpFault('FRAME_ERROR', messageOf(error))),
    });
    this.assembler = new FrameAssembler(this, {
      bodyBytesMax: shared.settings.amqpMessageMaxBytes,
    });
    // Nobody who has not logged in fills memory.
    this.assembler.takesContents = false;
    this.handshake = new Handshake({
      shared,
      origin: options.origin,
      send: (method) => this.output.method(0, method),
      setFrameMax: (bytes) => {
        this.assembler.frameBytesMax = bytes;
        this.output.setFrameMax(bytes);
      },
      onOpen: (opened) => this.onOpen(opened),
      onFault: (fault) => this.closeWith(fault),
      onSilentRefusal: () => this.connection.destroy(),
    });
  }

  start(): void {
    this.connection.start({
      data: (chunk) => this.data(chunk),
      drained: () => this.output.drained(),
      closed: () => this.onClosed(),
    });
  }

  get info(): ConnectionInfo {
    const states = [...this.channels.values()].map(({ state }) => state);
    const sum = (of: (state: (typeof states)[number]) => number): number =>
      states.reduce((total, state) => total + of(state), 0);
    return {
      peer: this.options.peer,
      name: this.opened?.name ?? '',
      user: this.opened?.user.name ?? '',
      vhost: this.opened?.vhost.name ?? '',
      channels: states.length,
      consumers: sum((state) => state.consumers.size),
      unacknowledged: sum((state) => state.unacked.size),
      blocked: this.isBlocked,
      sinceMs: this.sinceMs,
    };
  }

  /** The server wants it to end: the client is told why, and ends the connection. */
  close(reason: string): void {
    if (this.phase === 'running') this.closeWith(new AmqpFault('CONNECTION_FORCED', reason));
    else if (this.phase !== 'closing') this.connection.destroy();
  }

  /** It speaks for a user, in a virtual host. */
  isOf(who: { readonly user?: string; readonly vhost?: string }): boolean {
    const { opened } = this;
    return (
      (who.user !== undefined && who.user === opened?.user.name) ||
      (who.vhost !== undefined && who.vhost === opened?.vhost.name)
    );
  }

  destroy(): void {
    this.connection.destroy();
  }

  /** Heartbeats, and the end of who is late. */
  sweep(nowMs: number): void {
    const { phase, opened, options } = this;
    if (phase === 'header' || phase === 'handshake') {
      if (this.handshake.isRefused) return;
      if (nowMs - this.startedMs > options.shared.settings.handshakeTimeoutMs)
        this.destroyWith('the handshake was not completed in time');
      return;
    }
    const heartbeatMs = opened?.heartbeatMs ?? 0;
    if (phase !== 'running' || heartbeatMs === 0) return;
    // While it is not read nothing can come.
    if (this.isPaused) this.receivedMs = nowMs;
    if (nowMs - this.receivedMs > 2 * heartbeatMs) {
      this.destroyWith(`missed heartbeats from client, timeout: ${heartbeatMs / 1_000}s`);
      return;
    }
    if (!this.output.wrote && nowMs - this.sentMs < heartbeatMs / 2) return;
    if (!this.output.wrote) this.output.heartbeat();
    this.output.wrote = false;
    this.sentMs = nowMs;
  }

  /** The disk is full, or no longer. */
  diskChanged(): void {
    const { publisher, opened } = this;
    const isBlocked = this.options.isDiskFull() && publisher?.hasPublished === true;
    if (isBlocked === this.isBlocked || this.phase !== 'running') return;
    this.isBlocked = isBlocked;
    if (opened?.wantsBlocked === true)
      this.output.method(
        0,
        isBlocked
          ? { name: 'connection.blocked', reason: DISK_FULL }
          : { name: 'connection.unblocked' },
      );
    this.updatePause();
  }

  // What comes ------------------------------------------------------------------------------------------------------

  private data(chunk: Buffer): void {
    if (this.phase === 'ending' || this.phase === 'closed') return;
    if (this.phase === 'header') {
      this.receiveHeader(chunk);
      return;
    }
    const { receiving, env } = this.options.shared;
    this.receivedMs = env.clock.monotonicMs();
    this.chunk = chunk;
    try {
      this.assembler.push(chunk);
      this.publisher?.commit();
    } catch (error) {
      // Of us, not of the client; others must not notice.
      this.options.onFault('a method failed', error);
      this.closeWith(new AmqpFault('INTERNAL_ERROR', 'the broker has failed'));
      this.finish();
    }
    this.chunk = undefined;
    const tookMs = env.clock.monotonicMs() - this.receivedMs;
    if (!this.isYielding) this.isYielding = receiving.spend(tookMs, this.goOn);
    this.updatePause();
  }

  private readonly goOn = (): void => {
    this.isYielding = false;
    this.updatePause();
  };

  private receiveHeader(chunk: Buffer): void {
    this.header = Buffer.concat([this.header, chunk]);
    const read = readProtocolHeader(this.header);
    if (read === 'more') return;
    if (read !== 'ok') {
      this.options.onFault(read.foreign);
      this.phase = 'ending';
      this.connection.write([PROTOCOL_HEADER]);
      this.connection.end();
      return;
    }
    const rest = this.header.subarray(PROTOCOL_HEADER_BYTES);
    this.phase = 'handshake';
    this.handshake.start();
    if (rest.length > 0) this.data(rest);
  }

  heartbeat(): void {
    // That something came is all it says.
  }

  method(number: number, method: AmqpMethod): void {
    const { phase } = this;
    if (phase === 'ending' || phase === 'closed') return;
    if (number === 0) this.ownMethod(method);
    else if (phase === 'running') this.channelMethod(number, method);
    else if (phase === 'handshake')
      throw new AmqpFault('UNEXPECTED_FRAME', 'a channel before the connection is open');
  }

  content(number: number, method: ContentMethod, content: Content): void {
    if (this.phase !== 'running') return;
    const channel = this.channels.get(number);
    if (channel === undefined) throw new AmqpFault('CHANNEL_ERROR', "expected 'channel.open'");
    channel.content(method, lasting(content, this.chunk));
    if (this.options.isDiskFull()) this.diskChanged();
  }

  /** From the assembler, about what has come; from a channel, about what took time. */
  fault(number: number, fault: AmqpFault): void {
    if (this.phase === 'ending' || this.phase === 'closed' || this.phase === 'closing') return;
    const channel = this.channels.get(number);
    if (this.phase === 'leaving') {
      // Nobody waits to be told.
      channel?.tearDown();
      return;
    }
    if (fault.isHard || channel === undefined) {
      this.closeWith(fault);
      // An answer to that could not be read.
      if (number === 0 && fault.reply === 'FRAME_ERROR') this.finish();
    } else {
      channel.fault(fault);
      this.assembler.skipContent(number);
    }
  }

  private ownMethod(method: AmqpMethod): void {
    if (this.phase === 'handshake') {
      this.handshake.method(method);
      return;
    }
    const { name } = method;
    if (name === 'connection.close') this.closedByClient();
    else if (name === 'connection.close-ok') this.end();
    else if (name === 'connection.update-secret')
      // Passwords are not secrets that expire: there is nothing to look at again.
      this.output.method(0, { name: 'connection.update-secret-ok' });
    else if (this.phase === 'running')
      throw new AmqpFault('CHANNEL_ERROR', 'unexpected method in connection state running');
  }

  private channelMethod(number: number, method: AmqpMethod): void {
    const channel = this.channels.get(number);
    if (channel !== undefined) {
      channel.method(method);
      return;
    }
    if (method.name !== 'channel.open')
      throw new AmqpFault('CHANNEL_ERROR', "expected 'channel.open'");
    this.openChannel(number);
  }

  private openChannel(number: number): void {
    const { session, channels } = this;
    const channelMax = this.opened?.channelMax ?? 0;
    if (session === undefined) return;
    if (number > channelMax || channels.size >= channelMax)
      throw new AmqpFault(
        'NOT_ALLOWED',
        `number of channels opened (${channels.size}) has reached the negotiated channel_max (${channelMax})`,
      );
    const channel = new Channel({
      session,
      number,
      onClosed: () => {
        channels.delete(number);
      },
      onWaiting: (bytes) => {
        this.waitingBytes += bytes;
        this.updatePause();
      },
    });
    channels.set(number, channel);
    this.output.method(number, { name: 'channel.open-ok' });
  }

  private onOpen(opened: OpenedConnection): void {
    const { shared } = this.options;
    const { user, grant, vhost, wantsCancels } = opened;
    const publisher = new Publisher({
      vhost,
      output: this.output,
      replies: shared.replies,
      background: shared.background,
      turns: shared.turns,
      onPressure: () => this.updatePause(),
      onDiskFull: () => this.options.onDiskFull(),
    });
    this.opened = opened;
    this.publisher = publisher;
    this.session = {
      shared,
      vhost,
      user,
      grant,
      owner: {
        label: opened.name === '' ? this.options.peer : `${this.options.peer} (${opened.name})`,
      },
      output: this.output,
      publisher,
      wantsCancels,
      fault: (number, fault) => this.fault(number, fault),
    };
    this.assembler.takesContents = true;
    this.phase = 'running';
  }

  // Pressure --------------------------------------------------------------------------------------------------------

  private updatePause(): void {
    const wants =
      this.isBlocked ||
      this.isYielding ||
      this.output.isOverfull ||
      this.waitingBytes > AMQP_WAITING_BYTES_MAX ||
      this.publisher?.isFull === true;
    const isPaused = wants && this.phase === 'running';
    if (isPaused === this.isPaused || this.phase === 'closed') return;
    this.isPaused = isPaused;
    if (isPaused) this.connection.pause();
    else this.connection.resume();
  }

  private resumeConsumers(): void {
    for (const { state } of this.channels.values())
      for (const consumer of state.consumers.values()) consumer.queue.resume(consumer);
  }

  // End -------------------------------------------------------------------------------------------------------------

  /** Ends it with a code; the client answers, and closes. */
  private closeWith(fault: AmqpFault): void {
    if (this.phase === 'closing' || this.phase === 'ending' || this.phase === 'closed') return;
    const { code, replyText, classId, methodId } = fault;
    if (!NO_FAULT.has(fault.reply)) this.options.onFault(replyText);
    this.tearDown();
    this.phase = 'closing';
    this.updatePause();
    this.output.method(0, {
      name: 'connection.close',
      replyCode: code,
      replyText,
      classId,
      methodId,
    });
    this.endLater(AMQP_CLOSE_MS);
  }

  private closedByClient(): void {
    const { shared } = this.options;
    if (this.phase === 'closing') {
      this.output.method(0, { name: 'connection.close-ok' });
      return;
    }
    if (this.phase === 'leaving') return;
    const busy = [...this.channels.values()].filter(({ settled }) => settled !== undefined);
    if (busy.length === 0) {
      this.leave();
      return;
    }
    this.phase = 'leaving';
    const done = Promise.all(busy.map((channel) => channel.whenDone())).then(() => {
      if (this.phase === 'leaving') this.leave();
    });
    shared.background.run('end of a connection', done);
  }

  private leave(): void {
    const { shared } = this.options;
    this.tearDown();
    this.phase = 'ending';
    // Exclusive queues are gone when the client hears that the connection is.
    const settled = this.forget().then(() => {
      this.output.method(0, { name: 'connection.close-ok' });
      this.end();
    });
    shared.background.run('end of a connection', settled);
  }

  private end(): void {
    this.phase = 'ending';
    this.finish();
    this.endLater(AMQP_CLOSE_MS);
  }

  /** Sends what there is, and no more. What comes is still taken off the socket, so that the client gets to read. */
  private finish(): void {
    this.output.flush();
    this.output.stop();
    this.connection.end();
  }

  private endLater(delayMs: number): void {
    this.closeTimer?.cancel();
    this.closeTimer = this.options.shared.env.timers.after(delayMs, () =>
      this.connection.destroy(),
    );
  }

  private destroyWith(reason: string): void {
    this.options.onFault(reason);
    this.connection.destroy();
  }

  private onClosed(): void {
    if (this.phase === 'closed') return;
    this.phase = 'closed';
    this.closeTimer?.cancel();
    this.handshake.stop();
    this.output.stop();
    this.tearDown();
    const settled = this.forget().finally(() => this.options.onClosed());
    this.options.shared.background.run('end of a connection', settled);
  }

  private tearDown(): void {
    this.publisher?.commit();
    const channels = [...this.channels.values()];
    for (const channel of channels) channel.silence();
    for (const channel of channels) channel.tearDown();
  }

  /** Its exclusive queues go, once nothing of it is under way that could declare one. Idempotent. */
  private forget(): Promise<void> {
    this.gone ??= this.forgetNow();
    return this.gone;
  }

  private async forgetNow(): Promise<void> {
    const { session } = this;
    for (const channel of this.channels.values()) await channel.settled;
    this.channels.clear();
    if (session !== undefined) await session.vhost.ownerGone(session.owner);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
