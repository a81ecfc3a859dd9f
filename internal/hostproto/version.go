package hostproto

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// Version is the version of the messages and of the way they are sent. Both ends of a link must speak the same one. The
// agent names its version in the WebSocket handshake, as a subprotocol (RFC 6455, section 1.9). The control plane
// refuses any other version before the upgrade, and says what to do.
//
// Version history:
//
//	1  lines of JSON on a stream of a multiplexer; not named in the handshake
//	2  one message a WebSocket message
const Version = 2

const subprotocolPrefix = "sallyport-host."

func subprotocol(version int) string { return subprotocolPrefix + strconv.Itoa(version) }

// AgentVersion returns the version that an agent names in its request for a link; 1 if it names none.
func AgentVersion(r *http.Request) int {
	named, ours := strings.CutPrefix(r.Header.Get("Sec-WebSocket-Protocol"), subprotocolPrefix)
	version, err := strconv.Atoi(named)
	if !ours || err != nil || version < 1 {
		return 1
	}
	return version
}

// VersionProblem returns sentences that say that the ends of a link speak different versions, which of them is the
// older one, and what to do. It is "" if they speak the same version.
func VersionProblem(agent, controlPlane int) string {
	var older, update string
	switch {
	case agent < controlPlane:
		older, update = "agent", "sallyport-host on the machine"
	case agent > controlPlane:
		older, update = "control plane", "the control plane, or install its version of sallyport-host on the machine"
	default:
		return ""
	}
	return fmt.Sprintf("The machine's agent speaks version %d of the link's protocol, and the control plane version %d. "+
		"The %s is the older one: update %s.", agent, controlPlane, older, update)
}
