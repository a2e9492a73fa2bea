/**
 * One side of a simulated connection. Bytes go from the program (`outbox`) to the system (`wire`, bounded as a
 * socket buffer is) and from there, chunk by chunk, to the handlers of the other side.
 *
 * Invariant: `closed` is called once, last; every `done` is called once, after `write` has returned, unless the
 * process that waits for it is dead.
 */

import type { Connection, ConnectionHandlers } from '../env.ts';
import { assert, MillraceError } from '../errors.ts';
import type { SimEvents } from './sim-events.ts';
import type { SimFaults } from './sim-faults.ts';
import type { SimProcess } from './sim-process.ts';
import type { SimRandom } from './sim-random.ts';
import type { SimTrace } from './sim-trace.ts';

/** What the network shares with the machine. */
export interface SimNetCore {
  readonly events: SimEvents;
  readonly faults: SimFaults;
  readonly trace: SimTrace;
  readonly random: SimRandom;
}

/** Bytes that the system takes before the other side has read them. */
const WIRE_BYTES_MAX = 128 * 1024;
const CHUNK_BYTES_MAX = 64 * 1024;
const LATENCY_MS = [0.02, 2] as const;
/** Until a side notices that the machine of the other has gone. */
const NOTICE_MS = [1, 400] as const;
const OVERWRITTEN = 0xdd;

interface Outgoing {
  readonly bytes: Uint8Array;
  taken: number;
  readonly done: (() => void) | undefined;
}

export class SimConnection implements Connection {
  readonly localAddress = '127.0.0.1';
  readonly remoteAddress = '127.0.0.1';
  readonly remotePort: number;
  readonly owner: SimProcess | undefined;
  bufferedBytes = 0;
  /** Told when the connection has closed. */
  onEnd: (() => void) | undefined;
  private other: SimConnection | undefined;
  private readonly core: SimNetCore;
  private handlers: ConnectionHandlers | undefined;
  private outbox: Outgoing[] = [];
  /** Taken by the system, not yet delivered to the other side. */
  private wire: Uint8Array[] = [];
  private wireBytes = 0;
  private isPaused = false;
  private isBehind = false;
  /** Nothing more will be written. */
  private isEnding = false;
  /** The end has been delivered to the other side; and this side has seen the other's end. */
  private isEndSent = false;
  private isEndSeen = false;
  private isDelivering = false;
  /** No handler but `closed` is called any more. */
  private isOver = false;
  private error: MillraceError | undefined;

  constructor(core: SimNetCore, owner: SimProcess | undefined, remotePort: number) {
    this.core = core;
    this.owner = owner;
    this.remotePort = remotePort;
  }

  get peer(): SimConnection {
    assert(this.other !== undefined, 'a connection has two sides');
    return this.other;
  }

  pairWith(other: SimConnection): void {
    this.other = other;
    other.other = this;
  }

  start(handlers: ConnectionHandlers): void {
    assert(this.handlers === undefined, 'a connection is started once');
    this.handlers = handlers;
    if (this.isOver) this.tell(() => handlers.closed(this.error));
    else this.peer.deliver();
  }

  write(chunks: readonly Uint8Array[], done?: () => void): void {
    if (this.isEnding || this.isOver || !this.isOwnerAlive()) {
      if (done !== undefined) this.tell(done);
      return;
    }
    if (chunks.length === 0 && done !== undefined) this.tell(done);
    chunks.forEach((bytes, index) => {
      this.bufferedBytes += bytes.length;
      this.outbox.push({ bytes, taken: 0, done: index === chunks.length - 1 ? done : undefined });
    });
    if (this.core.random.chance(this.core.faults.resetProbability)) this.reset('reset by a fault');
    else if (this.peer.isOver) this.core.events.after(this.latencyMs(), this.owner, this.breakPipe);
    else this.fillWire();
    if (this.bufferedBytes > 0) this.isBehind = true;
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
    if (!this.isOver) this.peer.deliver();
  }

  end(): void {
    if (this.isEnding || this.isOver) return;
    this.isEnding = true;
    this.fillWire();
    // Nobody is there any more to end towards.
    if (this.peer.isOver)
      this.core.events.after(this.latencyMs(), this.owner, () => this.finish(undefined));
  }

  destroy(): void {
    if (this.isOver) return;
    const isUnread = this.peer.wireBytes > 0;
    this.isEnding = true;
    this.finish(undefined);
    // A system that closes a socket with unread bytes answers with a reset; otherwise what it took still arrives.
    if (isUnread) this.core.events.after(this.latencyMs(), this.peer.owner, this.peer.breakPipe);
    else this.deliver();
  }

  /** Both sides lose the connection at once. */
  reset(reason: string): void {
    this.core.trace.add(`reset ${this.remotePort}`);
    this.finish(this.lost(reason));
    this.peer.finish(this.peer.lost(reason));
  }

  /** The machine of the other side has gone: this one notices after a while. Of what was on its way the first part
   * arrives. */
  loseContact(): void {
    this.peer.loseWire();
    const [min, max] = NOTICE_MS;
    this.core.events.after(this.core.random.between(min, max), this.owner, this.breakPipe);
  }

  private loseWire(): void {
    const { random } = this.core;
    if (this.wireBytes === 0 || random.chance(0.5)) return;
    const kept = Buffer.concat(this.wire).subarray(0, random.below(this.wireBytes));
    this.wire = kept.length === 0 ? [] : [kept];
    this.wireBytes = kept.length;
  }

  private readonly breakPipe = (): void => {
    this.finish(this.lost('reset by the other side'));
  };

  /** The system takes from the outbox what it has room for. */
  private fillWire(): void {
    while (this.wireBytes < WIRE_BYTES_MAX) {
      const [first] = this.outbox;
      if (first === undefined) break;
      const room = WIRE_BYTES_MAX - this.wireBytes;
      const count = Math.min(room, first.bytes.length - first.taken);
      if (count > 0)
        this.wire.push(new Uint8Array(first.bytes.subarray(first.taken, first.taken + count)));
      first.taken += count;
      this.wireBytes += count;
      this.bufferedBytes -= count;
      if (first.taken < first.bytes.length) break;
      this.outbox.shift();
      if (first.done !== undefined) this.tell(first.done);
    }
    if (this.isBehind && this.bufferedBytes === 0) {
      this.isBehind = false;
      this.tell(() => {
        if (!this.isOver) this.handlers?.drained();
      });
    }
    this.deliver();
  }

  /** Makes the next chunk, or the end, arrive at the other side after a while. */
  private deliver(): void {
    if (this.isDelivering || !this.canDeliver()) return;
    this.isDelivering = true;
    this.core.events.after(this.latencyMs(), this.peer.owner, () => {
      this.isDelivering = false;
      if (!this.canDeliver()) return;
      if (this.wireBytes > 0) this.deliverChunk();
      else this.deliverEnd();
    });
  }

  private canDeliver(): boolean {
    const { peer } = this;
    if (peer.isOver || peer.handlers === undefined || peer.isPaused) return false;
    return this.wireBytes > 0 || (this.isEnding && this.outbox.length === 0 && !this.isEndSent);
  }

  private deliverChunk(): void {
    const { core, peer } = this;
    const chunk = this.takeChunk();
    core.trace.add(`deliver ${peer.remotePort} ${chunk.length}`);
    peer.handlers?.data(chunk);
    chunk.fill(OVERWRITTEN);
    if (!this.isOver && this.isOwnerAlive()) this.fillWire();
    this.deliver();
  }

  /** A part of what is on the wire: mostly all of it, at times a byte. */
  private takeChunk(): Buffer {
    const { random } = this.core;
    const most = Math.min(this.wireBytes, CHUNK_BYTES_MAX);
    const choice = random.below(8);
    const count = choice === 0 ? 1 : choice < 3 ? 1 + random.below(most) : most;
    const chunk = Buffer.allocUnsafeSlow(count);
    let filled = 0;
    while (filled < count) {
      const [first] = this.wire;
      assert(first !== undefined, 'the wire holds what it counts');
      const taken = first.subarray(0, count - filled);
      chunk.set(taken, filled);
      filled += taken.length;
      if (taken.length === first.length) this.wire.shift();
      else this.wire[0] = first.subarray(taken.length);
    }
    this.wireBytes -= count;
    return chunk;
  }

  private deliverEnd(): void {
    const { peer } = this;
    this.isEndSent = true;
    peer.isEndSeen = true;
    this.core.trace.add(`end ${peer.remotePort}`);
    if (peer.handlers?.ended === undefined) peer.end();
    else peer.handlers.ended();
    // Each side is over when it has ended itself and seen the end of the other.
    if (this.isEndSeen) this.finish(undefined);
    if (peer.isEndSent) peer.finish(undefined);
  }

  private finish(error: MillraceError | undefined): void {
    if (this.isOver) return;
    this.isOver = true;
    this.error = error;
    this.bufferedBytes = 0;
    const dropped = this.outbox;
    this.outbox = [];
    if (error !== undefined) {
      this.wire = [];
      this.wireBytes = 0;
    }
    for (const { done } of dropped) if (done !== undefined) this.tell(done);
    this.tell(() => this.handlers?.closed(this.error));
    this.onEnd?.();
  }

  /** Calls into the program, after the current event. */
  private tell(callback: () => void): void {
    this.core.events.after(0, this.owner, callback);
  }

  private isOwnerAlive(): boolean {
    return this.owner?.isAlive !== false;
  }

  private latencyMs(): number {
    const [min, max] = LATENCY_MS;
    return this.core.random.between(min, max);
  }

  private lost(reason: string): MillraceError {
    const { remoteAddress, remotePort } = this;
    const what = `the connection with ${remoteAddress}:${remotePort} was lost: ${reason}`;
    return new MillraceError('ML_CONNECTION_LOST', what, { fields: { remoteAddress, remotePort } });
  }
}
