// A receiver in Go, of the standard library alone. HOOK_SECRET answers challenges and verifies
// events; during a rotation, HOOK_SECRET_OLD verifies them, too.
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"
)

const (
	prefix  = "preservica-webhook-auth"
	maxBody = 10 << 20 // bytes; a longer event is answered 413
	keep    = 10_000   // events that are remembered; a store that processes share keeps them for good
)

var (
	plain   = regexp.MustCompile(`^[0-9A-Za-z][ -~]*$`)
	names   = []string{"HOOK_SECRET", "HOOK_SECRET_OLD"}
	secrets = map[string]string{}
)

// Event is what Preservica sends; unknown fields are left out.
type Event struct {
	Trigger string `json:"trigger"`
	Events  []struct {
		EntityType string `json:"entityType"`
		EntityRef  string `json:"entityRef"`
		// the names of an identifier are its own
		Identifiers []map[string]any `json:"identifiers"`
	} `json:"events"`
}

// Your code. Put long work into a queue. If this fails, the event is worked on again.
func work(event Event) error {
	for _, entity := range event.Events {
		if entity.EntityRef == "" {
			return errors.New("there is no entityRef")
		}
		fmt.Println(event.Trigger, entity.EntityType, entity.EntityRef, entity.Identifiers)
	}
	return nil
}

func sign(secret string, parts ...[]byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	for _, part := range parts {
		mac.Write(part)
	}
	return hex.EncodeToString(mac.Sum(nil))
}

// challengeResponse answers a challenge; false: refuse the code with 400.
func challengeResponse(secret, code string) (string, bool) {
	if !plain.MatchString(code) || strings.HasPrefix(code, prefix) {
		return "", false
	}
	return sign(secret, []byte(code)), true
}

// signer returns the name of the secret that signed an event, or "".
func signer(secrets map[string]string, body []byte, signature string) string {
	given := []byte(strings.ToLower(strings.TrimSpace(signature)))
	found := ""
	for name, secret := range secrets {
		if hmac.Equal([]byte(sign(secret, []byte(prefix), body)), given) {
			found = name
		}
	}
	return found
}

// keyOf is a digest of all but the subscription's id: while a subscription is replaced, the old and
// the new one deliver.
func keyOf(body []byte) (string, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return "", err
	}
	delete(fields, "subscriptionId")
	sorted, err := json.Marshal(fields) // it sorts the names
	digest := sha256.Sum256(sorted)
	return hex.EncodeToString(digest[:]), err
}

var (
	mutex sync.Mutex
	busy  = map[string]bool{}
	done  = map[string]bool{}
	order []string // of what is done
)

// begin claims an event; the status is 0 if it is new.
func begin(key string) int {
	mutex.Lock()
	defer mutex.Unlock()
	if done[key] {
		return http.StatusOK
	}
	if busy[key] {
		return http.StatusServiceUnavailable
	}
	busy[key] = true
	return 0
}

func end(key string, isDone bool) {
	mutex.Lock()
	defer mutex.Unlock()
	delete(busy, key)
	if !isDone {
		return
	}
	done[key] = true
	order = append(order, key)
	if len(order) > keep {
		delete(done, order[0])
		order = order[1:]
	}
}

func workOnce(body []byte) int {
	var event Event
	key, err := keyOf(body)
	if err != nil || json.Unmarshal(body, &event) != nil {
		return http.StatusBadRequest
	}
	if status := begin(key); status != 0 {
		return status
	}
	isDone := false
	defer func() { end(key, isDone) }() // also if work panics
	if err := work(event); err != nil {
		log.Print(err)
		return http.StatusInternalServerError
	}
	isDone = true
	return http.StatusOK
}

func hook(response http.ResponseWriter, request *http.Request) {
	response.Header().Set("Content-Type", "application/json")
	if request.Method != http.MethodPost {
		response.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	if code := request.URL.Query().Get("challengeCode"); code != "" {
		signed, isPlain := challengeResponse(secrets["HOOK_SECRET"], code)
		if !isPlain {
			response.WriteHeader(http.StatusBadRequest)
			return
		}
		json.NewEncoder(response).Encode(map[string]string{"challengeCode": code, "challengeResponse": signed})
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(response, request.Body, maxBody))
	if err != nil {
		response.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	name := signer(secrets, body, request.Header.Get("Preservica-Signature"))
	if name == "" {
		fmt.Println("401 refused the signature is wrong")
		response.WriteHeader(http.StatusUnauthorized)
		return
	}
	status := workOnce(body)
	fmt.Println(status, map[bool]string{true: "event", false: "not taken"}[status == http.StatusOK], name)
	if status == http.StatusServiceUnavailable {
		response.Header().Set("Retry-After", "30")
	}
	response.WriteHeader(status)
}

func main() {
	for _, name := range names {
		secret := os.Getenv(name)
		if secret == "" && name == "HOOK_SECRET" {
			log.Fatal(name + " is not set")
		}
		if secret != "" && (len(secret) < 16 || strings.TrimRight(secret, "\r\n") != secret) {
			log.Fatal(name + " is short, or ends with a line break")
		}
		if secret != "" {
			secrets[name] = secret
		}
	}
	port := os.Getenv("PORT")
	if port == "" {
		port = "8080"
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on http://" + listener.Addr().String())
	http.HandleFunc("/hook", hook)
	server := http.Server{ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 60 * time.Second}
	log.Fatal(server.Serve(listener))
}
