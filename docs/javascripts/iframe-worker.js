// From a folder (file:) browsers start no worker, and the search is one. There, a hidden frame does its work.
if (location.protocol === "file:")
  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      const frame = document.createElement("iframe")
      frame.hidden = true
      frame.title = "search"
      document.body.append(frame)
      this.frame = frame.contentWindow
      this.frame.document.open()
      this.frame.document.close()
      this.frame.postMessage = data => this.dispatchEvent(new MessageEvent("message", { data }))
      this.started = new Promise(resolve => {
        const script = this.frame.document.createElement("script")
        script.src = url
        script.onload = resolve
        this.frame.document.documentElement.append(script)
      })
    }
    postMessage(data) {
      this.started.then(() => this.frame.dispatchEvent(new MessageEvent("message", { data })))
    }
  }
