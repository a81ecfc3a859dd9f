package host

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/clock"
	"github.com/sallyport/sallyport/internal/host/sshd"
	"github.com/sallyport/sallyport/internal/hostproto"
)

// askSSHDEvery is how long an answer of sshd is used while none of the watched files and processes changes.
const askSSHDEvery = time.Minute

// askAgainAfter is how long an answer is used under which sshd accepts no pushed key. What is then repaired (the
// helper's mode, its user, a socket) is not watched.
const askAgainAfter = time.Second

// lookEvery is how often Run looks for changes.
const lookEvery = 5 * time.Second

// sshdTimeout bounds one question to sshd, for which a push may wait.
const sshdTimeout = 3 * time.Second

// defaultPIDFile is where Debian's sshd writes its PID. It is used until sshd has said where.
const defaultPIDFile = "/run/sshd.pid"

// maxUserSettings bounds for how many users sshd's settings are remembered.
const maxUserSettings = 1000

// View is the state of the machine's sshd.
type View struct {
	Settings sshd.Settings // outside of every Match block; nil if unknown
	Problem  string        // a sentence that says why sshd accepts no pushed key; "" if it does
	// a sentence about a change in its files that sshd has not read yet; "" if there is none that matters
	Pending string
}

// Watch keeps the answers of sshd about its configuration, and asks it again whenever its files or its process have
// changed. A look while nothing has changed costs some file reads. Watch is safe for concurrent use.
type Watch struct {
	config string // sshd_config(5)
	helper string // the arguments of the AuthorizedKeysCommand that asks this enrollment's agent
	log    *slog.Logger

	mu      sync.Mutex
	asked   time.Duration // the uptime at the last answer; 0 if there was none
	files   sshd.Files    // the files that the answer is about
	loaded  string        // the sshd.LoadStamp that the answer is about
	pending sshd.Files    // the files that view.Pending is about
	view    View
	users   map[string]sshd.Settings // answers about single users
}

// KeysArguments returns the arguments of the AuthorizedKeysCommand of the enrollment in the directory. They name the
// agent's socket, which no other enrollment has.
func KeysArguments(directory string) string {
	socket, _ := Places(directory)
	return socket
}

// NewWatch returns a Watch of the sshd that the enrollment in the directory serves.
func NewWatch(config Config, directory string, log *slog.Logger) *Watch {
	return &Watch{
		config: cmp.Or(config.SSHDConfig, sshd.DefaultConfig),
		helper: KeysArguments(directory),
		log:    log,
	}
}

// Run looks at sshd every few seconds until the context is done, and sends to changed when the view has changed. It
// looks every second while sshd accepts no pushed key, so that an enrollment's beginning lasts no longer.
func (w *Watch) Run(ctx context.Context, changed chan<- struct{}) error {
	for before := w.Look(ctx); ; {
		wait := lookEvery
		if before.Problem != "" {
			wait = askAgainAfter
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		now := w.Look(ctx)
		if now.Problem != before.Problem || now.Pending != before.Pending || !now.Settings.Equal(before.Settings) {
			select {
			case changed <- struct{}{}:
			default:
			}
		}
		before = now
	}
}

// Look returns the present state of sshd.
func (w *Watch) Look(ctx context.Context) View {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.look(ctx)
	return w.view
}

// look updates the view. The mutex must be held.
func (w *Watch) look(ctx context.Context) {
	files, loaded := sshd.ReadFiles(w.config), w.loadStamp(w.view.Settings)
	switch {
	case w.asked != 0 && loaded != "" && loaded == w.loaded && files != w.files:
		w.foresee(ctx, files) // the daemon still uses what it read before
		return
	case w.asked != 0 && clock.Uptime()-w.asked < w.keeps() && loaded == w.loaded && files == w.files:
		w.view.Pending = ""
		return
	}
	settings, problem, answered := w.ask(ctx)
	if !answered {
		w.log.Warn("sshd does not tell its settings in time")
		w.asked = clock.Uptime() // keep the last answer
		return
	}
	if settings != nil {
		loaded = w.loadStamp(settings)
	}
	if problem == "" && loaded == "" && !w.comesBack(ctx, settings) {
		problem = "sshd does not run, and nothing waits for connections in its place."
	}
	if problem != w.view.Problem {
		w.log.Warn("what sshd makes of pushed keys has changed", "before", w.view.Problem, "now", problem)
	}
	w.view = View{Settings: settings, Problem: problem}
	w.asked, w.files, w.loaded, w.pending, w.users = clock.Uptime(), files, loaded, files, make(map[string]sshd.Settings)
}

// keeps returns how long the answer is used while nothing that is watched changes. The mutex must be held.
func (w *Watch) keeps() time.Duration {
	if w.view.Problem != "" {
		return askAgainAfter
	}
	return askSSHDEvery
}

// comesBack reports whether some process listens for connections, as happens within moments if sshd is just restarting.
func (w *Watch) comesBack(ctx context.Context, settings sshd.Settings) bool {
	const times, pause = 20, 50 * time.Millisecond
	for range times {
		if settings.Answered() || w.loadStamp(settings) != "" {
			return true
		}
		select {
		case <-ctx.Done():
			return true
		case <-time.After(pause):
		}
	}
	return false
}

// loadStamp returns the sshd.LoadStamp of the daemon. settings may be nil.
func (w *Watch) loadStamp(settings sshd.Settings) string {
	if settings == nil {
		return sshd.LoadStamp(w.config, defaultPIDFile)
	}
	return sshd.LoadStamp(w.config, settings.Get("pidfile"))
}

// ask asks sshd for its settings and judges whether it accepts pushed keys under them. answered is false if the machine
// is too busy for sshd to answer.
func (w *Watch) ask(ctx context.Context) (settings sshd.Settings, problem string, answered bool) {
	ctx, cancel := context.WithTimeout(ctx, sshdTimeout)
	defer cancel()
	settings, problem = AsksUs(ctx, w.config, w.helper)
	return settings, problem, ctx.Err() == nil
}

// AsksUs returns sshd's settings and a sentence that says why sshd does not run the helper; "" if it does. sshd runs no
// command as a user that does not exist: sshd_config(5), AuthorizedKeysCommandUser.
func AsksUs(ctx context.Context, config, helper string) (settings sshd.Settings, why string) {
	settings, why = sshd.Asks(ctx, config, "", helper)
	if why != "" {
		return settings, why
	}
	name := settings.KeysCommand().User
	if _, ok, err := lookup(ctx, name); err == nil && !ok {
		why = fmt.Sprintf("sshd is to ask the agent as the user %s, who does not exist: "+
			"`sallyport-host enroll --repair` mends it.", name)
	}
	return settings, why
}

// foresee finds out the effect of a configuration that the daemon has not read yet. The mutex must be held.
func (w *Watch) foresee(ctx context.Context, files sshd.Files) {
	if files == w.pending {
		return
	}
	w.pending, w.view.Pending = files, ""
	switch _, problem, answered := w.ask(ctx); {
	case !answered:
	case w.view.Problem != "" && problem == "":
		w.view.Pending = "sshd's configuration was mended and not read yet: systemctl reload ssh, or kill -HUP its process."
	case w.view.Problem == "" && problem != "":
		w.view.Pending = "When sshd next reads its configuration, no pushed key will open this machine. " + problem
	}
	if w.view.Pending != "" {
		w.log.Warn("sshd's configuration has changed", "pending", w.view.Pending)
	}
}

// SettingsOf returns sshd's settings for one user, without those that depend on the address that the user connects from
// (see sshd.Settings.Anywhere). It returns nil if sshd does not answer.
func (w *Watch) SettingsOf(ctx context.Context, user string) sshd.Settings {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.files.Matches {
		return w.view.Settings
	}
	if settings, known := w.users[user]; known {
		return settings
	}
	ctx, cancel := context.WithTimeout(ctx, sshdTimeout)
	defer cancel()
	server, err := sshd.FindFor(ctx, w.config, w.view.Settings.Get("pidfile"))
	var settings sshd.Settings
	if err == nil {
		settings, err = server.Effective(ctx, w.config, user)
	}
	if err != nil {
		w.log.Warn("sshd does not tell its settings for a user", "user", user, "error", err)
		return nil
	}
	if w.files.Address {
		settings = settings.Anywhere()
	}
	if len(w.users) >= maxUserSettings {
		clear(w.users)
	}
	w.users[user] = settings
	return settings
}

// problems returns the sentences that the report has about the view.
func (v View) problems() []string {
	var problems []string
	for _, problem := range []string{v.Problem, v.Pending} {
		if problem != "" {
			problems = append(problems, hostproto.Reason(problem))
		}
	}
	return problems
}
