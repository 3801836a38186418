package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"configapi/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
)

type Entry struct {
	Name    string
	Version int64
	Content json.RawMessage
}

// State is replaced as a whole, so that nobody sees half of a commit: any goroutine can use state.Load().View.
type State struct {
	Token string
	View  map[string]Entry // by id, as names can change
}

var state atomic.Pointer[State]

// What comes with one token belongs together: a commit, or the whole snapshot.
func apply(events []*configapiv1.ConfigurationEvent, revision int64, token string) {
	view, isSnapshot, changed := map[string]Entry{}, state.Load().Token == "", []string{}
	if !isSnapshot {
		for id, entry := range state.Load().View {
			view[id] = entry
		}
	}
	for _, event := range events {
		found := event.Configuration
		switch event.Effect {
		case configapiv1.Effect_EFFECT_SET:
			view[found.Id] = Entry{found.Name, found.Version, json.RawMessage(found.GetConfigJson())}
		case configapiv1.Effect_EFFECT_REMOVE:
			delete(view, found.Id)
		}
		changed = append(changed, fmt.Sprintf("%s@%d", found.Name, found.Version))
	}
	state.Store(&State{token, view})
	if isSnapshot || len(changed) > 0 {
		contents := object{}
		for _, entry := range view {
			contents[entry.Name] = entry.Content
		}
		show(object{"event": "view", "revision": revision, "changed": changed, "contents": contents})
	}
}

func store(file string) error {
	text, err := json.Marshal(state.Load())
	if err != nil || file == "" {
		return err
	}
	if err = os.WriteFile(file+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

type Stream = configapiv1.ConfigurationService_WatchConfigurationsClient

func open(ctx context.Context, connection *grpc.ClientConn, application string) (Stream, error) {
	named := &configapiv1.ApplicationRef{Ref: &configapiv1.ApplicationRef_Name{Name: application}}
	request := &configapiv1.WatchConfigurationsRequest{
		Selectors: []*configapiv1.ConfigurationSelector{{Application: named}},
		Format:    configapiv1.ContentFormat_CONTENT_FORMAT_JSON,
	}
	if interval, err := strconv.ParseInt(os.Getenv("PROGRESS_SECONDS"), 10, 64); err == nil {
		request.ProgressInterval = &durationpb.Duration{Seconds: interval}
	}
	if token := state.Load().Token; token != "" {
		request.Start = &configapiv1.WatchConfigurationsRequest_ResumeToken{ResumeToken: token}
	}
	return configapiv1.NewConfigurationServiceClient(connection).WatchConfigurations(ctx, request)
}

// Watch until the stream ends, and return its error.
func watch(address, application, file string, progressed func()) error {
	connection, err := connect(address)
	if err != nil {
		return err
	}
	defer connection.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	lost := 30 * time.Second
	watchdog := time.AfterFunc(lost, func() {
		show(object{"event": "lost"})
		cancel()
	})
	defer watchdog.Stop()
	stream, err := open(ctx, connection, application)
	if err != nil {
		return err
	}
	for pending := []*configapiv1.ConfigurationEvent{}; ; {
		message, err := stream.Recv()
		if err != nil {
			return err
		}
		if message.Opened != nil {
			lost = 3 * message.Opened.ProgressInterval.AsDuration() // three bookmarks
		}
		watchdog.Reset(lost)
		pending = append(pending, message.Events...)
		if message.ResumeToken == "" {
			continue
		}
		apply(pending, message.Revision, message.ResumeToken)
		pending = nil
		progressed()
		if err := store(file); err != nil {
			return err
		}
	}
}

// After any end, the watch is opened again, after a pause that grows and has a random part.
func follow(address, application, file string) {
	rand.Seed(time.Now().UnixNano()) // until Go 1.20, the numbers are the same in every process otherwise
	state.Store(&State{})
	if text, err := os.ReadFile(file); err == nil {
		stored := State{}
		if json.Unmarshal(text, &stored) == nil {
			state.Store(&stored)
		}
	}
	for delay := 1.0; ; delay = math.Min(2*delay, 30) {
		ended := detailsOf(watch(address, application, file, func() { delay = 0.5 }))
		if ended.Reason != "" && ended.Code == "OUT_OF_RANGE" {
			// The history was compacted, or is another one. The view stays until the snapshot is complete.
			state.Store(&State{View: state.Load().View})
		}
		event := ended.fields()
		event["event"], event["kept"] = "ended", len(state.Load().View)
		show(event)
		if ended.Reason != "" && (ended.Code == "INVALID_ARGUMENT" || ended.Code == "PERMISSION_DENIED") {
			return // the same call can never succeed
		}
		time.Sleep(ended.Retry + time.Duration(delay*rand.Float64()*float64(time.Second)))
	}
}
