package main

// `go test` checks this receiver with the test vectors that all examples share.

import (
	"encoding/json"
	"os"
	"strconv"
	"testing"
)

type vectors struct {
	Challenges []struct {
		Why, Secret, Code string
		Response          *string
	}
	Events []struct {
		Why, Body, Signature string
		Secrets              []string
		IsGenuine            bool `json:"is_genuine"`
	}
}

func read(t *testing.T) (found vectors) {
	text, err := os.ReadFile("../vectors.json")
	if err != nil || json.Unmarshal(text, &found) != nil {
		t.Fatal("vectors.json cannot be read: ", err)
	}
	return found
}

func TestChallenges(t *testing.T) {
	for _, vector := range read(t).Challenges {
		response, isPlain := challengeResponse(vector.Secret, vector.Code)
		if isPlain != (vector.Response != nil) || isPlain && response != *vector.Response {
			t.Error(vector.Why)
		}
	}
}

func TestEvents(t *testing.T) {
	for _, vector := range read(t).Events {
		named := map[string]string{}
		for number, secret := range vector.Secrets {
			named[strconv.Itoa(number)] = secret
		}
		if (signer(named, []byte(vector.Body), vector.Signature) != "") != vector.IsGenuine {
			t.Error(vector.Why)
		}
	}
}

func TestTheIdOfTheSubscriptionIsNotInTheKeyOfAnEvent(t *testing.T) {
	one, _ := keyOf([]byte(`{"subscriptionId": "a", "trigger": "MOVED"}`))
	two, _ := keyOf([]byte(`{"trigger":"MOVED","subscriptionId":"b"}`))
	other, _ := keyOf([]byte(`{"trigger":"INDEXED"}`))
	if one != two || one == other {
		t.Error(one, two, other)
	}
}
