{{ lake_rows('news_sentiment') }}
