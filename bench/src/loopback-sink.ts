/** A process that takes whatever one connection sends and says how much it was: the far end of the loopback probe. */
import { createServer } from 'node:net';

const server = createServer((socket) => {
  let bytes = 0;
  socket.on('data', (chunk) => {
    bytes += chunk.length;
  });
  socket.on('close', () => {
    process.send?.(bytes);
    server.close();
    process.disconnect();
  });
});

server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  process.send?.(typeof address === 'object' && address !== null ? address.port : 0);
});
