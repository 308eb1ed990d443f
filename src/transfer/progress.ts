/** Tells how far long work has come: on a terminal in one line, elsewhere in a line now and then. */
export interface Work {
  readonly count: number
  /** The part that is done, from 0 to 1; undefined where the whole is not known. */
  readonly done: number | undefined
}

const onTerminal = 250
const elsewhere = 5_000

/** @returns a function that ends it */
export function showProgress(stream: NodeJS.WriteStream, look: () => Work): () => void {
  const began = performance.now()
  const { isTTY } = stream
  let shown = false
  const timer = setInterval(
    () => {
      const text = describe(look(), (performance.now() - began) / 1000)
      stream.write(isTTY ? `\r\x1b[K${text}` : `${text}\n`)
      shown = true
    },
    isTTY ? onTerminal : elsewhere,
  )
  timer.unref()
  return () => {
    clearInterval(timer)
    if (isTTY && shown) stream.write('\r\x1b[K')
  }
}

/** @param seconds since the beginning */
export function describe({ count, done }: Work, seconds: number): string {
  const rate = `${count.toLocaleString('en')} people, ${Math.round(count / seconds).toLocaleString('en')} a second`
  if (done === undefined || done <= 0) return rate
  const left = done >= 1 ? 0 : (seconds * (1 - done)) / done
  return `${Math.floor(Math.min(done, 1) * 100)}%: ${rate}, ${inWords(left)} left`
}

function inWords(seconds: number): string {
  const whole = Math.ceil(seconds)
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60)]
  if (hours > 0) return `${hours} h ${minutes} min`
  return minutes > 0 ? `${minutes} min ${whole % 60} s` : `${whole} s`
}
