/**
 * A proxy before a broker, and the three requests of RabbitMQ's management plugin with which client suites end a connection of their own:
 * so their tests of recovery run without a plugin, and on every broker alike. A connection is known by the name its client gave it.
 */
import {
  createServer as createHttpServer,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import type { Address } from '../clients/receiving-socket.ts';
import { BenchFailure } from '../failure.ts';

const HOST = '127.0.0.1';
/** Client suites have it in their text. */
const MANAGEMENT_PORT = 15672;
const CONNECTIONS = '/api/connections/';
const NAME_FIELD = Buffer.from('connection_name');
/** A client has said its name within this many bytes, or has none. */
const GREETING_BYTES_MAX = 16_384;

interface Passing {
  readonly client: Socket;
  readonly broker: Socket;
  name: string;
  greeting: Buffer;
}

export interface DroppableConnections extends Address {
  close(): void;
}

export async function droppableConnections(broker: Address): Promise<DroppableConnections> {
  const passing = new Map<string, Passing>();
  let count = 0;
  const proxy = createServer({ noDelay: true }, (client) => {
    const id = String(++count);
    passing.set(
      id,
      pass(client, broker, () => passing.delete(id)),
    );
  });
  const management = createHttpServer((request, response) => {
    manage(passing, request, response);
  });
  await listen(proxy, 0);
  await listen(management, MANAGEMENT_PORT).catch((error: unknown) => {
    proxy.close();
    throw new BenchFailure(
      `port ${MANAGEMENT_PORT}, at which the suite looks for RabbitMQ's management plugin, cannot be had: ${String(error)}`,
    );
  });
  return {
    host: HOST,
    port: (proxy.address() as AddressInfo).port,
    close: () => {
      proxy.close();
      management.close();
      for (const { client } of passing.values()) client.destroy();
    },
  };
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, HOST, () => resolve());
  });
}

function pass(client: Socket, at: Address, ended: () => void): Passing {
  const broker = connect({ ...at, noDelay: true });
  const passing: Passing = { client, broker, name: '', greeting: Buffer.alloc(0) };
  client.pipe(broker);
  broker.pipe(client);
  const listenForName = (chunk: Buffer): void => {
    passing.greeting = Buffer.concat([passing.greeting, chunk]);
    passing.name = nameIn(passing.greeting) ?? '';
    if (passing.name !== '' || passing.greeting.length > GREETING_BYTES_MAX)
      client.off('data', listenForName);
  };
  client.on('data', listenForName);
  // Whoever goes takes the other along.
  client.on('error', () => undefined).once('close', () => broker.destroy());
  broker.on('error', () => undefined).once('close', () => client.end());
  client.once('close', ended);
  return passing;
}

/** The value of the client property `connection_name`, a long string, when it is there in full. */
function nameIn(greeting: Buffer): string | undefined {
  const at = greeting.indexOf(NAME_FIELD);
  const start = at + NAME_FIELD.length + 5;
  if (at < 0 || greeting.length < start) return undefined;
  const end = start + greeting.readUInt32BE(start - 4);
  return greeting.length < end ? undefined : greeting.toString('utf8', start, end);
}

function manage(
  passing: ReadonlyMap<string, Passing>,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const path = decodeURIComponent(request.url ?? '');
  if (request.method === 'GET' && `${path}/`.startsWith(CONNECTIONS)) {
    const all = [...passing].map(([name, { name: connection_name }]) => ({
      name,
      client_properties: { connection_name },
    }));
    response.end(JSON.stringify(all));
    return;
  }
  const one = passing.get(path.slice(CONNECTIONS.length));
  if (request.method !== 'DELETE' || one === undefined) {
    response.writeHead(404).end();
    return;
  }
  void drop(one).then(() => response.writeHead(204).end());
}

/** As an operator closes it: the broker forgets the connection, then the client is told 320 CONNECTION_FORCED. */
async function drop({ client, broker }: Passing): Promise<void> {
  client.unpipe(broker);
  broker.unpipe(client);
  const forgotten = new Promise((resolve) => broker.once('close', resolve));
  broker.resume();
  client.resume();
  broker.write(connectionClose(200, 'Goodbye'));
  client.write(connectionClose(320, 'CONNECTION_FORCED - Closed via management plugin'));
  await forgotten;
}

function connectionClose(code: number, text: string): Buffer {
  const payload = Buffer.concat([
    Buffer.from([0, 10, 0, 50, code >> 8, code & 0xff, text.length]),
    Buffer.from(text),
    Buffer.alloc(4),
  ]);
  const head = Buffer.alloc(7);
  head[0] = 1;
  head.writeUInt32BE(payload.length, 3);
  return Buffer.concat([head, payload, Buffer.of(0xce)]);
}
