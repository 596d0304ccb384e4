// From a folder (file:), browsers start no worker, and the search is one. There, a hidden frame does its work.
if (location.protocol === "file:")
  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      const frame = document.createElement("iframe")
      frame.hidden = true
      frame.title = "search"
      document.body.append(frame)
      this.window = frame.contentWindow
      addEventListener("message", event => {
        if (event.source === this.window) this.dispatchEvent(new MessageEvent("message", { data: event.data }))
      })
      this.ready = new Promise(resolve => {
        const script = this.window.document.createElement("script")
        this.window.postMessage = message => parent.postMessage(message, "*")
        script.src = url
        script.onload = resolve
        this.window.document.body.append(script)
      })
    }
    postMessage(message) {
      this.ready.then(() => this.window.dispatchEvent(new MessageEvent("message", { data: message })))
    }
    terminate() {}
  }
