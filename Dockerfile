# Unrun so far: see "Docker" in the README.
FROM node:26-slim

WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev
COPY LICENSE ./
COPY src ./src
RUN install --directory --owner=node --group=node --mode=700 /data

USER node
ENV HOST=0.0.0.0 ROSTER_DATA=/data
VOLUME /data
EXPOSE 3000
HEALTHCHECK CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT ?? 3000}/readyz`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "src/main.js", "serve"]
