package simulator

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"
)

// Where an answer has to break off at a byte, or to come in drops, net/http is
// in the way: it takes whole answers. So the connection is taken over and the
// bytes are written as they are.

// dripBytes is what goes out at once where a fault does not say.
const dripBytes = 64

// patience is how long a client may take to read what it is sent.
const patience = 10 * time.Second

// rawAnswer is an answer as HTTP/1.1 spells it. The connection is not used
// again.
func rawAnswer(h http.Header, out *bufferedWriter) []byte {
	h = h.Clone()
	h.Set("Content-Length", strconv.Itoa(out.body.Len()))
	h.Set("Connection", "close")
	var raw bytes.Buffer
	fmt.Fprintf(&raw, "HTTP/1.1 %d %s\r\n", out.status(), http.StatusText(out.status()))
	_ = h.Write(&raw) // a buffer takes everything
	raw.WriteString("\r\n")
	raw.Write(out.body.Bytes())
	return raw.Bytes()
}

// drip writes raw with a pause after each part, until it is through, the client
// has gone, or the epoch is over. Without a pause it is one part.
func (e Effect) drip(ctx context.Context, ep *epoch, conn net.Conn, raw []byte) {
	pause, size := time.Duration(e.DripMS)*time.Millisecond, e.DripBytes
	if size == 0 {
		size = dripBytes
	}
	if pause == 0 {
		size = len(raw)
	}
	for len(raw) > 0 {
		_ = conn.SetWriteDeadline(time.Now().Add(patience)) // a connection without deadlines fails at the write
		n, err := conn.Write(raw[:min(size, len(raw))])
		if err != nil {
			return
		}
		raw = raw[n:]
		if len(raw) > 0 && !ep.sleep(ctx, pause) {
			return
		}
	}
}

// abandon closes the connection without an answer, or resets it.
func (w *recordingWriter) abandon(reset bool) { closeConn(w.takeOver(0), reset) }

// takeOver records the status and gives the connection.
func (w *recordingWriter) takeOver(status int) net.Conn {
	w.once.Do(func() { w.record(status) })
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		// HTTP/2 has no connection to take over; this resets the stream.
		panic(http.ErrAbortHandler)
	}
	return conn
}

// lingering is a TCP connection.
type lingering interface{ SetLinger(seconds int) error }

// closeConn ends a connection; with reset by a RST, which a peer notices in the
// middle of a write and which may cost it bytes that it had not read yet.
func closeConn(conn net.Conn, reset bool) {
	if tcp, ok := conn.(lingering); ok && reset {
		_ = tcp.SetLinger(0) // a close is hostile enough
	}
	_ = conn.Close() // it is to be broken
}
