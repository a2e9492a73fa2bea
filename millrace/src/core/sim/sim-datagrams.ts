/** Datagrams on a simulated machine: each arrives whole and once, after a while of its own, so in any order. */
import type { DatagramOptions, DatagramSocket } from '../env.ts';
import { systemError } from '../system-error.ts';
import type { SimNetCore } from './sim-connection.ts';
import { SimDiskError } from './sim-disk.ts';
import type { SimProcess } from './sim-process.ts';

const FIRST_EPHEMERAL_PORT = 50_000;
const LATENCY_MS = [0.02, 2] as const;
const DEFAULT_RECEIVE_BYTES = 128 * 1024;

interface Bound {
  readonly owner: SimProcess | undefined;
  readonly receiveBytes: number;
  readonly onDatagram: (datagram: Buffer) => void;
  /** On their way to it. */
  queuedBytes: number;
  lost: number;
}

export class SimDatagrams {
  private readonly core: SimNetCore;
  private readonly bound = new Map<number, Bound>();
  private nextPort = FIRST_EPHEMERAL_PORT;

  constructor(core: SimNetCore) {
    this.core = core;
  }

  bind(
    owner: SimProcess | undefined,
    options: DatagramOptions,
    onDatagram: (datagram: Buffer) => void,
  ): Promise<DatagramSocket> {
    const { host, receiveBytes = DEFAULT_RECEIVE_BYTES } = options;
    return new Promise((resolve, reject) => {
      this.core.events.after(0, owner, () => {
        if (this.bound.has(options.port)) {
          const what = `receive datagrams on ${host}:${options.port}`;
          const error = new SimDiskError('EADDRINUSE');
          reject(systemError(error, what, undefined, { host, port: options.port }));
          return;
        }
        const port = options.port === 0 ? this.freePort() : options.port;
        const made: Bound = { owner, receiveBytes, onDatagram, queuedBytes: 0, lost: 0 };
        this.bound.set(port, made);
        this.core.trace.add(`datagrams ${port}`);
        resolve({
          host,
          port,
          receiveBytes,
          lost: () => made.lost,
          send: (datagram, to) => this.send(datagram, to.port),
          close: () => this.close(port, made),
        });
      });
    });
  }

  /** A process is gone: its ports are free. */
  forget(owner: SimProcess): void {
    for (const [port, bound] of this.bound) if (bound.owner === owner) this.bound.delete(port);
  }

  private send(datagram: Uint8Array, port: number): void {
    const { core } = this;
    const to = this.bound.get(port);
    if (to === undefined) return;
    if (to.queuedBytes + datagram.length > to.receiveBytes) {
      to.lost++;
      return;
    }
    const copy = Buffer.from(datagram);
    to.queuedBytes += copy.length;
    const [min, max] = LATENCY_MS;
    core.events.after(core.random.between(min, max), to.owner, () => {
      to.queuedBytes -= copy.length;
      if (this.bound.get(port) !== to) return;
      core.trace.add(`datagram ${port} ${copy.length}`);
      to.onDatagram(copy);
      // Whoever keeps it is found out.
      copy.fill(0xdd);
    });
  }

  private close(port: number, made: Bound): Promise<void> {
    if (this.bound.get(port) === made) this.bound.delete(port);
    return new Promise((resolve) => {
      this.core.events.after(0, made.owner, resolve);
    });
  }

  private freePort(): number {
    while (this.bound.has(this.nextPort)) this.nextPort++;
    return this.nextPort++;
  }
}
