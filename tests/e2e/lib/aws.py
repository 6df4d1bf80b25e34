# SPDX-License-Identifier: Apache-2.0
"""A client of SNS and SQS with nothing but the standard library, to look at what the programs did."""

import hashlib
import json
import urllib.parse
import xml.etree.ElementTree as ElementTree

from . import proc, sigv4
from .s3 import REGION, Failed, send

ACCOUNT = "000000000000"


def arn(service, name):
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{name}"


class Bus:
    def __init__(self, addr, key):
        self.addr = addr
        self.key = key

    def _post(self, service, headers, body):
        host = f"{self.addr[0]}:{self.addr[1]}"
        payload = hashlib.sha256(body).hexdigest()
        h = sigv4.signed("POST", host, "/", "", headers, payload, self.key, service, REGION)
        return send(self.addr, "POST", "/", "", h, body, (200,))[1]

    def sns(self, action, **params):
        """The answer's elements as {name: text}."""
        form = urllib.parse.urlencode({"Action": action, "Version": "2010-03-31", **params})
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        root = ElementTree.fromstring(self._post("sns", headers, form.encode()))
        return {e.tag.rpartition("}")[2]: e.text for e in root.iter()}

    def sqs(self, action, **params):
        headers = {
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": f"AmazonSQS.{action}",
        }
        return json.loads(self._post("sqs", headers, json.dumps(params).encode()) or b"{}")

    def topic_exists(self, name):
        try:
            self.sns("GetTopicAttributes", TopicArn=arn("sns", name))
            return True
        except Failed as e:
            if e.status != 404:
                raise
            return False

    def queue(self, name, **attributes):
        """The URL of a queue, made if it is missing."""
        return self.sqs("CreateQueue", QueueName=name, Attributes=attributes)["QueueUrl"]

    def listen(self, topic, queue, raw=True):
        """Make both, and the queue get what is sent to the topic. The queue's URL."""
        fifo = topic.endswith(".fifo")
        extra = {"Attributes.entry.1.key": "FifoTopic", "Attributes.entry.1.value": "true"}
        self.sns("CreateTopic", Name=topic, **(extra if fifo else {}))
        url = self.queue(queue, **({"FifoQueue": "true"} if fifo else {}))
        self.sns(
            "Subscribe", TopicArn=arn("sns", topic), Protocol="sqs", Endpoint=arn("sqs", queue),
            **{"Attributes.entry.1.key": "RawMessageDelivery",
               "Attributes.entry.1.value": "true" if raw else "false"},
        )  # fmt: skip
        return url

    def take(self, url, wait=0):
        """Up to ten messages, which are then gone: [{"Body": …, "MessageAttributes": …}]."""
        found = self.sqs(
            "ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=wait,
            MessageAttributeNames=["All"], MessageSystemAttributeNames=["All"],
        ).get("Messages", [])  # fmt: skip
        for m in found:
            self.sqs("DeleteMessage", QueueUrl=url, ReceiptHandle=m["ReceiptHandle"])
        return found

    def take_until(self, url, done, what, seconds=20):
        """Take messages until done([all of them]); those."""
        got = []

        def more():
            got.extend(self.take(url, 1))
            return done(got)

        proc.until(more, what, seconds)
        return got

    def left(self, url):
        """Messages in the queue, in flight too."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        a = self.sqs("GetQueueAttributes", QueueUrl=url, AttributeNames=names)["Attributes"]
        return sum(int(a[n]) for n in names)

    def attributes(self, url):
        return self.sqs("GetQueueAttributes", QueueUrl=url, AttributeNames=["All"])["Attributes"]
