/** The connections that a port has open: how many there may be, from one address too, and how they all end. */
import type { Connection, Env } from '../core/env.ts';
import { SERVER_CLOSE_MS } from '../core/limits.ts';
import type { FaultLog } from './fault-log.ts';

interface Limits {
  readonly maxConnections: number;
  readonly maxConnectionsPerIp: number;
}

export class OpenConnections<Client extends { destroy(): void }> implements Iterable<Client> {
  private readonly clients = new Map<Client, string>();
  private readonly countByAddress = new Map<string, number>();
  private readonly limits: Limits;
  private readonly faults: FaultLog;
  private isClosing = false;
  private onEmpty: (() => void) | undefined;

  constructor(limits: Limits, faults: FaultLog) {
    this.limits = limits;
    this.faults = faults;
  }

  get size(): number {
    return this.clients.size;
  }

  [Symbol.iterator](): IterableIterator<Client> {
    return this.clients.keys();
  }

  /** @returns whether there is room for it; if not it was destroyed */
  admits(connection: Connection): boolean {
    const { remoteAddress } = connection;
    const { maxConnections, maxConnectionsPerIp } = this.limits;
    const isFull = this.clients.size >= maxConnections;
    const isCrowded = (this.countByAddress.get(remoteAddress) ?? 0) >= maxConnectionsPerIp;
    if (!isFull && !isCrowded && !this.isClosing) return true;
    const setting = isFull ? 'max.connections' : 'max.connections.per.ip';
    if (!this.isClosing)
      this.faults.log(`a connection was refused: ${setting} is reached`, { remoteAddress });
    connection.destroy();
    return false;
  }

  add(client: Client, remoteAddress: string): void {
    this.clients.set(client, remoteAddress);
    this.countByAddress.set(remoteAddress, (this.countByAddress.get(remoteAddress) ?? 0) + 1);
  }

  delete(client: Client): void {
    const remoteAddress = this.clients.get(client);
    if (remoteAddress === undefined) return;
    this.clients.delete(client);
    const left = (this.countByAddress.get(remoteAddress) ?? 1) - 1;
    if (left === 0) this.countByAddress.delete(remoteAddress);
    else this.countByAddress.set(remoteAddress, left);
    if (this.clients.size === 0) this.onEmpty?.();
  }

  /** Takes no more. */
  stop(): void {
    this.isClosing = true;
  }

  /** Waits until all have ended, as they were asked to; those that take long are destroyed. */
  async ended({ timers }: Env): Promise<void> {
    if (this.clients.size === 0) return;
    await new Promise<void>((resolve) => {
      const late = timers.after(SERVER_CLOSE_MS, () => {
        for (const client of this) client.destroy();
      });
      this.onEmpty = () => {
        late.cancel();
        resolve();
      };
    });
  }
}
